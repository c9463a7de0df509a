"""What people look at: their own month, a team's, sums, who is there, and the list of everybody."""

from datetime import date

from benchmarks.company import ADMIN, MANAGER, MONTH, YEAR
from benchmarks.load import drive
from benchmarks.measure import Run, Sample
from benchmarks.scenarios.scenario import DONE, Scenario, asking, each_in_turn, with_memory
from benchmarks.services import Service
from benchmarks.site import Site
from benchmarks.upper_bounds import Aggregate

SUMMARY = "/reports/summary"
SUMMARY_GROUPS = "group_by=user&group_by=month"
PRESENCE = "/reports/presence"
PAGE, USERS = 100, 10_000


def own_month(site: Site, clients: int) -> dict[str, Run]:
    world = site.small
    people = list(world.layout.crew)[:clients]
    runs: dict[str, Run] = {each.name: asking_own_month(each, people) for each in world.services}
    if bare := world.bare:
        runs["bare app"] = asking_own_month(bare, people)
        runs["hello"] = asking(bare, [bare.hello] * clients)
    return runs


def asking_own_month(service: Service, people: list[int]) -> Run:
    service.sign_in(people)
    period = _dates(MONTH)
    return asking(service, [service.get(person, "/time-entries/me", **period) for person in people])


def team_month(site: Site, clients: int) -> dict[str, Run]:
    return _team(site, clients, MONTH)


def team_year(site: Site, clients: int) -> dict[str, Run]:
    return _team(site, clients, YEAR)


def _team(site: Site, clients: int, period: tuple[date, date]) -> dict[str, Run]:
    return {
        each.name: with_memory(each, asking(each, [each.get(MANAGER, "/reports/team", **_dates(period))] * clients))
        for each in site.small.services
    }


def summary(site: Site, clients: int) -> dict[str, Run]:
    """A team's year, all there is in this company; the baseline has no such thing."""
    world = site.small
    message = world.ours.get(MANAGER, SUMMARY, **_dates(YEAR))
    message = message.replace(b" HTTP/1.1", f"&{SUMMARY_GROUPS} HTTP/1.1".encode(), 1)
    runs: dict[str, Run] = {world.ours.name: with_memory(world.ours, asking(world.ours, [message] * clients))}
    if not world.is_sqlite:
        runs["SQL alone"] = Aggregate(world.url, clients, YEAR)
    return runs


def presence(site: Site, clients: int) -> dict[str, Run]:
    ours = site.small.ours
    return {ours.name: asking(ours, [ours.get(MANAGER, PRESENCE)] * clients)}


def users(site: Site, clients: int) -> dict[str, Run]:
    """All pages of the list, each client from another page on."""
    return {each.name: _paging(each, clients) for each in site.large.services}


def _paging(service: Service, clients: int) -> Run:
    pages = [service.get(ADMIN, "/admin/users", skip=skip, limit=PAGE) for skip in range(0, USERS, PAGE)]

    def run(seconds: float) -> Sample:
        starts = range(0, len(pages), max(1, len(pages) // clients))[:clients]
        scripts = [each_in_turn(pages[start:] + pages[:start]) for start in starts]
        return Sample.of(drive(service.base_url, scripts, seconds), DONE)

    return run


def _dates(period: tuple[date, date]) -> dict[str, object]:
    return {"start_date": period[0], "end_date": period[1]}


SCENARIOS = (
    Scenario("own-month", "Own month, 88 entries", "answers/s", 16, own_month),
    Scenario("team-month", "A team of 50, a month with 4,400 entries", "answers/s", 4, team_month),
    Scenario("team-year", "A team of 50, a year with 44,000 entries", "answers/s", 4, team_year),
    Scenario("summary", "Sums of a team's year by person and month, 44,000 entries", "answers/s", 1, summary),
    Scenario("presence", "Who of a team of 50 is there", "answers/s", 16, presence),
    Scenario("users", "10,000 people in pages of 100", "pages/s", 4, users),
)
