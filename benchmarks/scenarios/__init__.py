"""All scenarios by name. Each module holds the scenarios of one topic."""

from benchmarks.scenarios import exports, growth, memory, punches, reads
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for module in (punches, reads, exports, growth, memory) for scenario in module.SCENARIOS
}
