"""A page of plots that shows a road engineer whether a simulated city is plausible: `roadtwin simulate --report`."""

from simulators.report.report import SHORTEST, Report, make_report, write_report

__all__ = ["SHORTEST", "Report", "make_report", "write_report"]
