"""The metrics of GET /metrics, parsed by the Prometheus client library."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


class Scrape(dict[Sample, float]):
    """Values of one scrape: `scrape("ett_audit_events_total", object_type="login")`."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = text_string_to_metric_families(answer.text)
        super().__init__(
            {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}
        )

    def __call__(self, name: str, **labels: str) -> float:
        return self.get((name, frozenset(labels.items())), 0)
