from roadtwin.jobs.networks import import_network
__all__ = ["import_network"]
