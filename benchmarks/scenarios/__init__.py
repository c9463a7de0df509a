"""All scenarios by name. Each module holds the scenarios of one topic."""

from benchmarks.scenarios import exports, growth, login_storm, memory, punches, reads
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for module in (punches, reads, exports, login_storm, growth, memory)
    for scenario in module.SCENARIOS
}
