"""What is measured, by name: each scenario has one file's worth of things in common with its neighbours."""

from benchmarks.scenarios import exports, growth, punches, reads
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for module in (punches, reads, exports, growth) for scenario in module.SCENARIOS
}
