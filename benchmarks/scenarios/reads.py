"""Read requests: the own month, a team's month and year, sums, presence, and the list of all users."""

from datetime import date

from benchmarks.company import ADMIN, MANAGER, MONTH, YEAR, dates
from benchmarks.environment import Environment
from benchmarks.load import Request, run_clients
from benchmarks.measure import Run, Sample
from benchmarks.scenarios.scenario import DONE, Scenario, read_load, repeat_requests, with_cpu_time, with_memory
from benchmarks.services import Service
from benchmarks.upper_bounds import Aggregate

SUMMARY = "/reports/summary"
SUMMARY_GROUPS = "group_by=user&group_by=month"
PRESENCE = "/reports/presence"
PAGE, USERS = 100, 10_000


def own_month(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    user_ids = list(scale.company_size.team)[:clients]
    services = [*scale.services, *([scale.bare] if scale.bare else [])]
    runs: dict[str, Run] = {each.name: with_cpu_time(scale, each, own_month_load(each, user_ids)) for each in services}
    if bare := scale.bare:
        runs["hello"] = read_load(bare, [bare.hello] * clients)
    return runs


def own_month_load(service: Service, user_ids: list[int]) -> Run:
    service.log_in(user_ids)
    return read_load(service, [service.own_month(user) for user in user_ids])


def team_month(environment: Environment, clients: int) -> dict[str, Run]:
    return _team(environment, clients, MONTH)


def team_year(environment: Environment, clients: int) -> dict[str, Run]:
    return _team(environment, clients, YEAR)


def _team(environment: Environment, clients: int, period: tuple[date, date]) -> dict[str, Run]:
    return {
        each.name: with_memory(each, read_load(each, [each.get(MANAGER, "/reports/team", **dates(period))] * clients))
        for each in environment.small.services
    }


def summary(environment: Environment, clients: int) -> dict[str, Run]:
    """Measure the summary of a team's year, which is the whole data of this company. The baseline has none."""
    scale = environment.small
    message = scale.ours.get(MANAGER, SUMMARY, **dates(YEAR))
    message = message.replace(b" HTTP/1.1", f"&{SUMMARY_GROUPS} HTTP/1.1".encode(), 1)
    runs: dict[str, Run] = {scale.ours.name: with_memory(scale.ours, read_load(scale.ours, [message] * clients))}
    if not scale.is_sqlite:
        runs["SQL alone"] = Aggregate(scale.url, clients, YEAR)
    return runs


def presence(environment: Environment, clients: int) -> dict[str, Run]:
    ours = environment.small.ours
    return {ours.name: read_load(ours, [ours.get(MANAGER, PRESENCE)] * clients)}


def users(environment: Environment, clients: int) -> dict[str, Run]:
    """Measure all pages of the user list. Each client starts at another page."""
    return {each.name: _page_load(each, clients) for each in environment.large.services}


def _page_load(service: Service, clients: int) -> Run:
    skips = range(0, USERS, PAGE)
    pages = [Request(service.get(ADMIN, "/admin/users", skip=skip, limit=PAGE), DONE) for skip in skips]

    def run(seconds: float) -> Sample:
        starts = range(0, len(pages), max(1, len(pages) // clients))[:clients]
        scripts = [repeat_requests(*pages[start:], *pages[:start]) for start in starts]
        return Sample.of(run_clients(service.base_url, scripts, seconds), DONE)

    return run


SCENARIOS = (
    Scenario("own-month", "Own month, 88 entries", "responses/s", 16, own_month),
    Scenario("team-month", "A team of 50, a month with 4,400 entries", "responses/s", 4, team_month),
    Scenario("team-year", "A team of 50, a year with 44,000 entries", "responses/s", 4, team_year),
    Scenario("summary", "Sums of a team's year by user and month, 44,000 entries", "responses/s", 1, summary),
    Scenario("presence", "Presence of a team of 50", "responses/s", 16, presence),
    Scenario("users", "10,000 users in pages of 100", "pages/s", 4, users),
)
