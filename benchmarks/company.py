"""A generated company of any size.

Every employee works the same days, with four entries of two hours each. The days start with the first day of each
month: 22 days make 88 entries a month, and ten months make 880 entries a year. So the number of entries in a period is
easy to calculate, and entries never overlap.

The measured team always has a whole year of entries, even if the other employees have less.
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
"""Size of the manager's team. The measured requests are those of this team."""
PROJECTS = range(1, 11)


@dataclass(frozen=True)
class CompanySize:
    """Number of employees and of days with entries for each of them."""

    employees: int
    days_per_employee: int

    @classmethod
    def with_entries(cls, employees: int, entries: int) -> "CompanySize":
        """Return a size with this many employees and about this many entries. A day always has four entries."""
        count = max(employees, TEAM_SIZE)
        return cls(count, max(1, round(entries / count / ENTRIES_PER_DAY)))

    @property
    def team(self) -> range:
        return range(FIRST_EMPLOYEE, FIRST_EMPLOYEE + TEAM_SIZE)

    @property
    def last_employee(self) -> int:
        return FIRST_EMPLOYEE + self.employees - 1

    def days(self) -> list[tuple[date, int]]:
        """Return the days with entries, oldest first, each with the id of the last employee who worked on it."""
        numbers = range(max(self.days_per_employee, DAYS_PER_YEAR))
        return sorted(
            (_day(each), self.last_employee if each < self.days_per_employee else self.team[-1]) for each in numbers
        )

    def period_of(self, rows: int) -> tuple[date, date]:
        """Return the first and last day of a period in which about `rows` entries start."""
        max_days = min(DAYS_PER_YEAR, self.days_per_employee)
        days = min(max_days, max(1, round(rows / self.employees / ENTRIES_PER_DAY)))
        return _day(0), _day(days - 1)

    def entries_in(self, period: tuple[date, date]) -> int:
        """Return the number of entries that start in the period."""
        counts = ((last - FIRST_EMPLOYEE + 1) for day, last in self.days() if period[0] <= day <= period[1])
        return ENTRIES_PER_DAY * sum(counts)

    def users(self) -> Iterator[dict[str, Any]]:
        """Yield the admin, the manager, the team, and all others, who report to the admin. Ids ascend."""
        yield _user(ADMIN, Role.admin, None)
        yield _user(MANAGER, Role.manager, ADMIN)
        for number in range(FIRST_EMPLOYEE, self.last_employee + 1):
            yield _user(number, Role.employee, MANAGER if number in self.team else ADMIN)


def dates(period: tuple[date, date]) -> dict[str, date]:
    """Return the query parameters for a period."""
    return {"start_date": period[0], "end_date": period[1]}


def email_of(user: int) -> str:
    return f"person{user}@example.com"


def _user(number: int, role: Role, manager_id: int | None) -> dict[str, Any]:
    """Return the columns that the tables of both services share."""
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
    """Return a day by number. Number 0 is the first day of the latest year."""
    years, rest = divmod(number, DAYS_PER_YEAR)
    month, day = divmod(rest, DAYS_PER_MONTH)
    return date(LAST_YEAR - years, 1 + month, 1 + day)
