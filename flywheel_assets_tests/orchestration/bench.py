"""The sample flywheel under Dagster in this process: what the daemon would do, one step at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg

from flywheel_assets.definitions import build_definitions
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.orchestration.keys import Stage, asset_key, builds_name
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.sensors import follow_publications, pick_up_builds, reconcile_daily
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import VERDICT
from flywheel_assets.promotion.report import Row, report
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.fakes import FakeWorkflow

ENTRY, VALIDATED, PUBLISHED = Stage.CACHE_ENTRY, Stage.VALIDATED_ARTIFACT, Stage.PUBLISHED_ARTIFACT
JUDGED = (ENTRY, VALIDATED)


def key(run: int, system: str = "x86_64-linux") -> str:
    """The partition key of a sample build."""
    return f"{run}.1.{system}"


@dataclass
class Bench:
    """A home with a part of the sample in its inbox, and an instance that remembers nothing else."""

    settings: Settings
    flywheel: Flywheel
    instance: dg.DagsterInstance
    workflow: FakeWorkflow = field(default_factory=FakeWorkflow)
    cursors: dict[str, str | None] = field(default_factory=dict)
    day: int = 0
    _definitions: dict[int, dg.Definitions] = field(default_factory=dict)

    @property
    def pipeline(self) -> Pipeline:
        later = timedelta(days=self.day)
        return Pipeline(self.settings, replace(self.flywheel, clock=lambda: self.flywheel.clock() + later))

    @property
    def definitions(self) -> dg.Definitions:
        if self.day not in self._definitions:
            self._definitions[self.day] = build_definitions(self.pipeline)
        return self._definitions[self.day]

    @property
    def job(self) -> dg.JobDefinition:
        return self.definitions.resolve_implicit_global_asset_job_def()

    # The sensors, as the daemon would tick them

    def ask(self, sensor: dg.SensorDefinition = pick_up_builds) -> dg.SensorResult:
        """What the sensor asks for; nothing of it is carried out, not even the cursor."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name),
            definitions=self.definitions,
            sensor_name=sensor.name,
            resources={"pipeline": self.pipeline},
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def report_events(self, result: dg.SensorResult) -> None:
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)

    def add_partitions(self, result: dg.SensorResult) -> None:
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))

    def run(self, result: dg.SensorResult) -> list[dg.ExecuteInProcessResult]:
        job = self.job
        return [
            job.execute_in_process(
                instance=self.instance,
                asset_selection=list(request.asset_selection or []),
                partition_key=request.partition_key,
                tags={**request.tags, "dagster/run_key": request.run_key or ""},
                raise_on_error=False,
            )
            for request in result.run_requests or []
        ]

    def tick(self, sensor: dg.SensorDefinition = pick_up_builds) -> list[dg.ExecuteInProcessResult]:
        """One whole tick and its runs."""
        result = self.ask(sensor)
        self.report_events(result)
        self.add_partitions(result)
        self.cursors[sensor.name] = result.cursor
        return self.run(result)

    def reconcile(self) -> list[dg.ExecuteInProcessResult]:
        return self.tick(reconcile_daily)

    def follow(self) -> list[dg.AssetObservation]:
        """A tick of the sensor that follows workflows, and what it shows."""
        result = self.ask(follow_publications)
        self.report_events(result)
        self.cursors[follow_publications.name] = result.cursor
        return [event for event in result.asset_events if isinstance(event, dg.AssetObservation)]

    def settle(self) -> list[dg.ExecuteInProcessResult]:
        """Tick until nothing is asked for and no workflow comes further."""
        done: list[dg.ExecuteInProcessResult] = []
        for _ in range(15):
            runs, shown = self.tick(), self.follow()
            if not runs and not shown:
                return done
            done += runs
        raise AssertionError("the sensor asks for ever more")

    # What a person does in the UI

    def materialize(
        self,
        output: str,
        partition: str | tuple[str, str],
        *stages: Stage,
        checks: Iterable[dg.AssetCheckKey] | None = None,
        tags: Mapping[str, str] = {},
        config: Mapping[str, object] | None = None,
    ) -> dg.ExecuteInProcessResult:
        assets = [asset_key(stage, output) for stage in stages]
        if checks is None:
            job, selection = self.job, assets
        else:
            selected = dg.AssetSelection.assets(*assets).without_checks() | dg.AssetSelection.checks(*checks)
            by_hand = dg.Definitions(jobs=[dg.define_asset_job("by_hand", selected)])
            job, selection = dg.Definitions.merge(self.definitions, by_hand).resolve_job_def("by_hand"), []
        named = partition if isinstance(partition, str) else None
        if isinstance(partition, tuple):
            ends = {
                "dagster/asset_partition_range_start": partition[0],
                "dagster/asset_partition_range_end": partition[1],
            }
            tags = {**tags, **ends}
        elif not stages:  # checks alone have no partitions that a job could share
            tags, named = {**tags, "dagster/partition": partition}, None
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=selection or None,
            partition_key=named,
            tags=dict(tags),
            run_config=config,
            raise_on_error=False,
        )

    def know(self, output: str, *partitions: str) -> None:
        """Add partitions, as anybody can."""
        self.instance.add_dynamic_partitions(builds_name(output), list(partitions))

    # What is there afterwards

    def materialized(self, stage: Stage, output: str) -> set[str]:
        return set(self.instance.get_materialized_partitions(asset_key(stage, output)))

    def latest(self, stage: Stage, output: str, partition: str) -> dg.AssetMaterialization:
        wanted = dg.AssetRecordsFilter(asset_key=asset_key(stage, output), asset_partitions=[partition])
        found = self.instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
        assert found
        return found

    def events(self, stage: Stage, output: str) -> list[str]:
        """The partitions of all materializations, doubles included."""
        wanted = dg.AssetRecordsFilter(asset_key=asset_key(stage, output))
        records = self.instance.fetch_materializations(wanted, limit=1000).records
        return sorted(str(record.partition_key) for record in records)

    def observed(self, stage: Stage, output: str, partition: str) -> list[dg.AssetObservation]:
        wanted = dg.AssetRecordsFilter(asset_key=asset_key(stage, output), asset_partitions=[partition])
        records = self.instance.fetch_observations(wanted, limit=100).records
        return [record.asset_observation for record in records if record.asset_observation]

    def checks(self, stage: Stage, output: str, partition: str) -> dict[str, tuple[str, bool]]:
        """Check name to (status, whether it is current)."""
        graph = self.definitions.resolve_asset_graph()
        found = {}
        for check in graph.asset_check_keys:
            if check.asset_key != asset_key(stage, output):
                continue
            info = self.instance.event_log_storage.get_asset_check_partition_info([check], partition_keys=[partition])
            for one in info:
                found[check.name] = (one.latest_execution_status.value, one.is_current)
        return found

    def surfaces(self) -> str:
        """A digest of every file under surfaces/."""
        digest = hashlib.sha256()
        for path in sorted((self.settings.home / "surfaces").rglob("*")):
            digest.update(str(path).encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()

    def row(self, output: str, partition: str) -> Row:
        return next(row for row in report(self.flywheel) if (row.output, row.build) == (output, partition))

    # What goes wrong

    def damage_verdict(self, output: str, partition: str) -> None:
        """Overwrite the recorded verdict on a build in the evidence store."""
        entries = self.flywheel.evidence.entries(f"output-{output}")
        digest = [e.evidence for e in entries if e.kind == VERDICT and e.subject == partition][-1].hex
        (self.settings.home / "evidence" / "blobs" / "sha256" / digest[:2] / digest).write_bytes(b"{}")

    def take_name(self, output: str, partition: str) -> Path:
        """Put something else where the durable cache would name a build; returns the file."""
        (receipt,) = assemble(self.flywheel, output, BuildKey.parse(partition)).receipts
        name = f"{store_path_hash(receipt.receipt.artifact.name)}.narinfo"
        durable = self.settings.home / "surfaces" / "durable-nix"
        durable.mkdir(parents=True, exist_ok=True)
        (durable / name).write_text("StorePath: of another\n", "utf-8")
        return durable / name

    def nar_of(self, output: str, partition: str) -> Path:
        """The file in the cache that holds the root of a build."""
        (receipt,) = assemble(self.flywheel, output, BuildKey.parse(partition)).receipts
        cache = self.settings.home / "sample" / "nix-cache"
        info = cache / f"{store_path_hash(receipt.receipt.artifact.name)}.narinfo"
        return cache / info.read_text("utf-8").split("URL: ")[1].splitlines()[0]


@contextmanager
def bench(home: Path, *deliveries: str, instance: dg.DagsterInstance | None = None) -> Iterator[Bench]:
    """A bench whose inbox holds the named deliveries, or the whole sample's."""
    settings = Settings(home, SAMPLE_CATALOGUE)
    workflow = FakeWorkflow()
    flywheel = replace(open_flywheel(settings), workflows={"flakehub": workflow})
    if deliveries:
        for path in (home / "sample" / "inbox").iterdir():
            if path.name.removesuffix(".json") not in deliveries:
                path.unlink()
    with instance or dg.DagsterInstance.ephemeral() as opened:
        yield Bench(settings, flywheel, opened, workflow)


def deliver(home: Path, *deliveries: str) -> None:
    """Let more of the sample arrive."""
    for name in deliveries:
        file = SAMPLE / "inbox" / f"{name}.json"
        (home / "sample" / "inbox" / file.name).write_bytes(file.read_bytes())
