"""Public holidays of North Rhine-Westphalia, and on which days of a week the five weekly rounds are driven."""

from datetime import date, timedelta
from functools import lru_cache

_FIXED = ((1, 1), (5, 1), (10, 3), (11, 1), (12, 25), (12, 26))
_AFTER_EASTER_DAYS = (-2, 1, 39, 50, 60)  # Good Friday, Easter Monday, Ascension, Whit Monday, Corpus Christi
ROUNDS_A_WEEK = 5


def easter_sunday(year: int) -> date:
    """Easter of the Gregorian calendar, by the anonymous algorithm of 1876.

    Examples
    --------
    >>> easter_sunday(2025)
    datetime.date(2025, 4, 20)
    """
    golden, (century, rest) = year % 19, divmod(year, 100)
    skipped, corrected = divmod(century, 4)
    epact = (19 * golden + century - skipped - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * corrected + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=256)
def public_holidays(year: int) -> frozenset[date]:
    """Holidays by law of a year."""
    easter = easter_sunday(year)
    moving = (easter + timedelta(days=days) for days in _AFTER_EASTER_DAYS)
    return frozenset([*(date(year, month, day) for month, day in _FIXED), *moving])


def is_holiday(day: date) -> bool:
    """Whether a day is a public holiday; Sundays are not counted."""
    return day in public_holidays(day.year)


@lru_cache(maxsize=512)
def rounds_on(day: date) -> tuple[int, ...]:
    """Which of the week's rounds (0 to 4, Monday to Friday) are driven on a day.

    After a holiday each round is a day late, up to Saturday; what is left over is driven on the last working day too.

    Examples
    --------
    >>> [rounds_on(date(2025, 10, day)) for day in (1, 2, 3, 4, 5)]
    [(2,), (3,), (), (4,), ()]
    """
    monday = day - timedelta(days=day.weekday())
    free = [i for i in range(6) if not is_holiday(monday + timedelta(days=i))]
    rounds, last = [], -1
    for number in range(ROUNDS_A_WEEK):
        last = next((i for i in free if i >= number and i > last), free[-1])
        if last == day.weekday():
            rounds.append(number)
    return tuple(rounds)
