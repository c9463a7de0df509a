"""A company of any size: how many work there, and how much they recorded.

Everybody works the same days, four entries of two hours each, from the first day of each month on: 22 days make 88
entries a month, ten months make a year of 880. So a period of any number of rows is easy to name, and nothing overlaps.
The crew, who do what is measured, have a whole year each, however little the others have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.models.users import Role

LAST_YEAR = 2025
MONTH = (date(LAST_YEAR, 1, 1), date(LAST_YEAR, 1, 31))
YEAR = (date(LAST_YEAR, 1, 1), date(LAST_YEAR, 12, 31))
DAYS_PER_MONTH, DAYS_PER_YEAR = 22, 220
START_HOURS = (8, 10, 13, 15)
ENTRY_HOURS = 2
ENTRIES_PER_DAY = len(START_HOURS)
ADMIN, MANAGER, FIRST_EMPLOYEE = 1, 2, 3
TEAM_SIZE = 50
"""The manager's team, who do what is measured."""
PROJECTS = range(1, 11)


@dataclass(frozen=True)
class CompanySize:
    """How large a company is."""

    employees: int
    days_per_employee: int

    @classmethod
    def with_entries(cls, employees: int, entries: int) -> "CompanySize":
        """So many employees, and about as many entries: a day of one person can't be split."""
        count = max(employees, TEAM_SIZE)
        return cls(count, max(1, round(entries / count / ENTRIES_PER_DAY)))

    @property
    def team(self) -> range:
        return range(FIRST_EMPLOYEE, FIRST_EMPLOYEE + TEAM_SIZE)

    @property
    def last_employee(self) -> int:
        return FIRST_EMPLOYEE + self.employees - 1

    def days(self) -> list[tuple[date, int]]:
        """The days worked, oldest first as a table grows, each with the last person who worked on it."""
        numbers = range(max(self.days_per_employee, DAYS_PER_YEAR))
        return sorted(
            (_day(each), self.last_employee if each < self.days_per_employee else self.team[-1]) for each in numbers
        )

    def period_of(self, rows: int) -> tuple[date, date]:
        """The days, from the last year's first on, in which about so many entries start."""
        max_days = min(DAYS_PER_YEAR, self.days_per_employee)
        days = min(max_days, max(1, round(rows / self.employees / ENTRIES_PER_DAY)))
        return _day(0), _day(days - 1)

    def entries_in(self, period: tuple[date, date]) -> int:
        """How many start in a period."""
        counts = ((last - FIRST_EMPLOYEE + 1) for day, last in self.days() if period[0] <= day <= period[1])
        return ENTRIES_PER_DAY * sum(counts)

    def users(self) -> Iterator[dict[str, Any]]:
        """The admin, the crew's manager, the crew, and everybody else, whom the admin manages; ids ascend."""
        yield _user(ADMIN, Role.admin, None)
        yield _user(MANAGER, Role.manager, ADMIN)
        for number in range(FIRST_EMPLOYEE, self.last_employee + 1):
            yield _user(number, Role.employee, MANAGER if number in self.team else ADMIN)


def dates(period: tuple[date, date]) -> dict[str, date]:
    """The parameters of a request for a period."""
    return {"start_date": period[0], "end_date": period[1]}


def email_of(user: int) -> str:
    return f"person{user}@example.com"


def _user(number: int, role: Role, manager_id: int | None) -> dict[str, Any]:
    """The columns that the tables of both services have."""
    return {
        "id": number,
        "email": email_of(number),
        "first_name": f"Person {number}",
        "last_name": "Silva",
        "role": role.value,
        "manager_id": manager_id,
        "is_active": True,
    }


def _day(number: int) -> date:
    """The latest year comes first, and in it its first day."""
    years, rest = divmod(number, DAYS_PER_YEAR)
    month, day = divmod(rest, DAYS_PER_MONTH)
    return date(LAST_YEAR - years, 1 + month, 1 + day)
