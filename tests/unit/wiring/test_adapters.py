"""What is configured reaches whoever it is for."""

from __future__ import annotations

from rookery_server import config
from rookery_server.config_sections import Outbox, Tiers, Work
from rookery_server.domain.fanout import Crossing, Thresholds
from rookery_server.wiring import adapters
from rookery_server.workers.settings import WorkerSettings


def test_an_empty_environment_gives_the_worker_its_own_defaults() -> None:
    assert adapters.worker_settings(config.Settings()) == WorkerSettings()


def test_every_setting_of_a_worker_reaches_it() -> None:
    chosen = {name: 7 for name in Work.model_fields if name not in ("side_host", "health_port", "metrics_port")}
    settings = config.Settings(work=Work(**chosen))  # type: ignore[arg-type]
    told = adapters.worker_settings(settings)
    by_name = {"poll_s": "poll_every_s", "open_events": "open_events_max"}
    assert {name: getattr(told, by_name.get(name, name)) for name in chosen} == chosen


def test_tiers_and_audits_reach_the_worker() -> None:
    crossing = Crossing(
        announce_s=40, merge_s=400, rebuild_after_s=200, relations_life_s=20, directory_s=1, directory_max_age_s=5
    )
    tiers = Tiers(
        broad_from=200, pull_from=1_000, announce_s=40, merge_s=400, rebuild_after_s=200, relations_life_s=20,
        directory_s=1, directory_max_age_s=5,
    )  # fmt: skip
    told = adapters.worker_settings(config.Settings(tiers=tiers, outbox=Outbox(audit_ages_s=(1, 2, 3, 4))))
    assert (told.thresholds, told.crossing) == (Thresholds(200, 1_000), crossing)
    assert told.audit_ages_s == (1, 2, 3, 4)
