"""What a catalogue may contain. Every description here is also shown by editors through the JSON Schema."""

from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from flywheel_assets.catalog.exceptable import OF_VALIDATIONS
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.names import (
    BuilderLabel,
    FlakeName,
    Line,
    OciRepository,
    OciTag,
    OutputName,
    RepositoryUri,
    WorkflowFile,
    WorkflowRef,
)
from flywheel_assets.domain.platform_runs import RunId
from flywheel_assets.domain.public_keys import fingerprint_of, pem_of
from flywheel_assets.domain.statements import canonical

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
Contact = Annotated[str, StringConstraints(pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+)$", max_length=200)]
SurfaceUrl = Annotated[
    str,
    StringConstraints(
        pattern=r"^(file:[^\s]+|https?://[^\s/?#@]+(/[^\s?#@]*)?|s3://[a-z0-9.-]+(/[^\s?#]*)?)$",
        max_length=500,
    ),
]
SecretRef = Annotated[str, StringConstraints(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\s]+)$", max_length=500)]
"""Where a secret lies: `env:NAME`, or `file:<path>`, relative ones below FLYWHEEL_HOME. Never the secret itself."""

HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]{1,5})?$", max_length=260)]
ForgeHost = Annotated[
    str, StringConstraints(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?$", max_length=260)
]
"""A host, or with `*.` before it all hosts below it: a forge keeps artifacts on many of one domain."""

FolderUrl = Annotated[str, StringConstraints(pattern=r"^file:[^\s]+$", max_length=500)]
InboxUrl = Annotated[str, StringConstraints(pattern=r"^(file:[^\s]+|s3://[a-z0-9.-]+(/[^\s?#]*)?)$", max_length=500)]
NixStore = Annotated[str, StringConstraints(pattern=r"^local\?root=/[A-Za-z0-9._/-]+$", max_length=300)]
TagTemplate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_{][A-Za-z0-9._{}-]*$", max_length=100)]


class Entry(BaseModel):
    """A closed, frozen part of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Owner(Entry):
    """A team or person that answers for something."""

    name: Text = Field(description="Who this is, for people.")
    contact: Contact = Field(description="`team:<name>` or an e-mail address; shown as the asset's owner.")


class Visibility(StrEnum):
    """Who can see a repository or surface."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PRIVATE = "private"


class Repository(Entry):
    """A source repository that builds may come from."""

    visibility: Visibility


class BuilderClass(StrEnum):
    """What a runner label is able to do."""

    NIX = "nix"
    DOCKER = "docker"
    DIND = "dind"


class BuilderLevel(StrEnum):
    """How much of the platform's surface a builder is."""

    INSTALLATION_OWNED = "installation-owned"
    ADDITIVE_CANARY = "additive-canary"
    FIRST_CLASS = "first-class"


class ArtifactType(StrEnum):
    """What a build makes."""

    NIX = "nix"
    OCI = "oci"
    BAZEL = "bazel"


class Claim(StrEnum):
    """What a builder may say of itself and be believed. All else must be said by an isolated signer."""

    SOURCE = "source"
    TRIGGER = "trigger"
    BOOTSTRAP = "bootstrap"
    VALIDATION = "validation"


class Builder(Entry):
    """A runner label: a shared capability class."""

    class_: BuilderClass = Field(alias="class")
    level: BuilderLevel
    owner: OutputName = Field(description="Key in `owners`: who owns the builder path.")
    makes: Annotated[tuple[ArtifactType, ...], Field(min_length=1)]
    publication_boundary: Text | None = Field(
        default=None, description="What leaves this builder and what does not. Required for first-class."
    )
    must_prove_bootstrap_for: tuple[ArtifactType, ...] = Field(
        description="For what its lane starts without the toolchain and must prove that it installed it (phase 0)."
    )
    trusted_claims: tuple[Claim, ...] = Field(
        default=(),
        description="What this builder may claim of itself when its key is not isolated from the job.",
    )

    @model_validator(mode="after")
    def _first_class_needs_a_boundary(self) -> Self:
        if self.level is BuilderLevel.FIRST_CLASS and self.publication_boundary is None:
            raise ValueError("a first-class builder needs a publication_boundary: say what leaves it and what does not")
        return self


class Credential(Entry):
    """How this pipeline shows a surface who it is: by a token, by user and password, or by a netrc file.

    A client certificate may come with any of them, or alone.
    """

    bearer: SecretRef | None = Field(default=None, description="A token, sent as `Authorization: Bearer`.")
    user: Line | None = Field(default=None, description="User of basic auth; registries trade it for a token.")
    password: SecretRef | None = Field(default=None, description="Password or access token that belongs to `user`.")
    netrc: FolderUrl | None = Field(default=None, description="`file:<path>` in netrc format, as Nix and curl read it.")
    certificate: FolderUrl | None = Field(default=None, description="Client certificate chain, PEM.")
    certificate_key: FolderUrl | None = Field(default=None, description="Its private key, PEM, unencrypted.")
    ca: FolderUrl | None = Field(default=None, description="CA certificates that the server's chain must end in, PEM.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key belong together")
        given = [way for way in (self.bearer, self.user, self.netrc) if way is not None]
        if len(given) > 1 or not (given or self.certificate or self.ca):
            raise ValueError("give one of bearer, user with password, or netrc; or a certificate")
        return self

    @property
    def authorises(self) -> bool:
        """Whether it says who asks, besides what it says in TLS."""
        return not (self.bearer is self.user is self.netrc is None)


class MutableSurface(Entry):
    """A cache that builders fill. It accelerates; it is never publication."""

    role: Literal["mutable"]
    protocol: ArtifactType
    url: SurfaceUrl = Field(description="`file:<folder>` (relative to FLYWHEEL_HOME), `https://…` or `http://…`.")
    owner: OutputName
    credential: Credential | None = Field(
        default=None, description="How to read it; without one it is read anonymously."
    )
    hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Hosts besides its own that it may lead to (redirects, token service), as `host` or `host:port`.",
    )
    trusted_upstream_keys: tuple[Line, ...] = Field(
        default=(), description="Nix public keys that may vouch for closure members no receipt lists."
    )


class Way(StrEnum):
    """How an artifact comes to a surface."""

    COPIES = "copies"
    TRIGGERS = "triggers"
    OBSERVES = "observes"


class PublishingForge(Entry):
    """The forge whose workflows publish to a surface that takes nothing from a server."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$", max_length=500)] = Field(
        default="https://api.github.com", description="Base of its API."
    )
    credential: Credential = Field(
        description="A token that may start workflows and read their runs: `actions: write`."
    )
    hosts: tuple[HostName, ...] = Field(default=(), description="Hosts besides its own that it may lead to.")


class DurableSurface(Entry):
    """A place that consumers read from and that keeps what it was given."""

    role: Literal["durable"]
    protocol: Literal["nix", "oci", "flakehub"]
    url: SurfaceUrl = Field(description="`file:<folder>`, `https://…`, `http://…`, or `s3://bucket/prefix` for Nix.")
    owner: OutputName
    visibility: Visibility
    credential: Credential | None = Field(default=None, description="How to publish there. Not for FlakeHub.")
    hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Hosts besides its own that it may lead to (redirects, token service), as `host` or `host:port`.",
    )
    read_credential: Credential | None = Field(
        default=None, description="How consumers read it. A public surface is read back anonymously."
    )
    retention: Literal["never"] = Field(description="Nothing here is ever collected.")
    forge: PublishingForge | None = Field(
        default=None, description="FlakeHub: where the workflows that publish to it are started and followed."
    )
    authority: bool = Field(
        default=False, description="Declares a durable Nix cache of one's own to be a release authority."
    )


Surface = Annotated[MutableSurface | DurableSurface, Field(discriminator="role")]


class Purpose(StrEnum):
    """What a signer's signature counts on."""

    RECEIPTS = "receipts"
    IMAGES = "images"


class TrustedKey(Entry):
    """Who may sign receipts and proofs, and for whom: a key, or a keyless identity (Sigstore)."""

    public_key: Text | None = Field(
        default=None, description="PEM, SubjectPublicKeyInfo. Or give `public_key_file` beside the catalogue."
    )
    issuer: Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$", max_length=300)] | None = Field(
        default=None, description="Keyless: the OIDC issuer that the certificate must name."
    )
    identity: Line | None = Field(
        default=None,
        description="Keyless: the certificate's subject alternative name, whole, such as "
        "`https://github.com/ORG/REPO/.github/workflows/publish.yml@refs/heads/main`.",
    )
    for_: Annotated[tuple[Purpose, ...], Field(min_length=1)] = Field(
        default=(Purpose.RECEIPTS,),
        alias="for",
        description="What its signature counts on: `receipts` (and test results), or `images`, that is on what "
        "`signers` of an observed output sign and attest. Only `receipts` unless said otherwise.",
    )
    builders: Annotated[tuple[BuilderLabel, ...], Field(min_length=1)]
    repositories: Annotated[tuple[RepositoryUri, ...], Field(min_length=1)]
    isolated: bool = Field(
        default=False,
        description="Whether the job itself cannot reach the key, so that its facts are platform-verified.",
    )
    slsa_build_level: Annotated[int, Field(ge=1, le=3)] = 1
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the key (SubjectPublicKeyInfo), or of issuer and identity: what it is under any name.

        Of what is no key, as an earlier catalogue may have had it, that of its text: loading one has a complaint.
        """
        if self.public_key is not None:
            with suppress(ValueError):
                return fingerprint_of(self.public_key)
            return sha256(self.public_key.encode()).hexdigest()
        return sha256(canonical({"issuer": self.issuer, "identity": self.identity})).hexdigest()

    @model_validator(mode="after")
    def _is_a_key_or_an_identity(self) -> Self:
        if (self.issuer is None) != (self.identity is None):
            raise ValueError("issuer and identity belong together")
        if (self.public_key is None) == (self.issuer is None):
            raise ValueError("give a public_key, or an issuer with an identity")
        return self

    @model_validator(mode="after")
    def _level_needs_isolation(self) -> Self:
        if self.slsa_build_level > 1 and not self.isolated:
            raise ValueError(
                "slsa_build_level above 1 needs isolated: true (SLSA v1.1, Build L2: provenance is authentic)"
            )
        return self


_PERSON_KEY = (
    r"^(-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*|ssh-ed25519 [A-Za-z0-9+/=]+( .*)?)$"
)
PersonKey = Annotated[str, StringConstraints(max_length=2000), Field(json_schema_extra={"pattern": _PERSON_KEY})]
"""Read by `domain.public_keys`, which says better than a pattern what is wrong with one."""


class Person(Entry):
    """Somebody whose signed decisions count."""

    name: Text
    contact: Contact
    keys: Annotated[tuple[PersonKey, ...], Field(min_length=1, max_length=8)] = Field(
        description="Public keys: PEM (Ed25519, or ECDSA P-256), or a line of OpenSSH (`ssh-ed25519 …`)."
    )
    forge_names: tuple[Line, ...] = Field(
        default=(),
        description="What forges call this person: nobody approves what they triggered. Needed of who may approve.",
    )
    may: Annotated[tuple[Act, ...], Field(min_length=1)] = Field(
        description="Which decisions count: approve, meet, hold, withdraw, quarantine. Who may decide it may revoke it."
    )
    valid_until: AwareDatetime | None = Field(
        default=None,
        description="From this time on what arrives does not count, whatever time it gives itself.",
    )

    @property
    def public_keys(self) -> tuple[str, ...]:
        """The keys as PEM."""
        return tuple(map(pem_of, self.keys))

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            pem_of(key)
        return keys


class Approvals(Entry):
    """Who must agree before an artifact goes out."""

    needed: Annotated[int, Field(ge=1, le=9)] = Field(description="How many distinct people.")
    by: Annotated[tuple[OutputName, ...], Field(min_length=1)] = Field(description="Keys in `people`.")
    last_days: Annotated[int, Field(ge=1, le=90)] = Field(default=14, description="The longest that one may last.")


class GateException(Entry):
    """A rule that does not stop a build although it does not hold: whose decision, why, and until when."""

    rule: Line = Field(description="The rule, such as `validation_is_green`. Not every rule can be excepted.")
    reason: Line = Field(
        description="The reason code that is excepted (docs/reasons.md), such as `validation-missing`."
    )
    validations: tuple[Line, ...] = Field(
        default=(),
        description="Which validations need not have passed: for the reasons of `validation_is_green`, where no other "
        "is excepted, and for no other reason.",
    )
    output: OutputName
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None, description="Only this artifact; without it every build of the output."
    )
    owner: OutputName = Field(description="Key in `owners`: who answers for the exception.")
    because: Text
    until: AwareDatetime = Field(description="From this time on it counts no longer.")

    @model_validator(mode="after")
    def _names_the_validations_that_it_is_about(self) -> Self:
        if self.reason in OF_VALIDATIONS and not self.validations:
            raise ValueError(f"name under `validations` those that it is about: {self.reason} may be said of any")
        if self.reason not in OF_VALIDATIONS and self.validations:
            raise ValueError(f"validations belong to {', '.join(sorted(OF_VALIDATIONS))}")
        return self


class Role(StrEnum):
    """What kind of flake output or target this is."""

    PACKAGE = "package"
    ALIAS = "alias"
    CHECK = "check"
    SHELL = "shell"
    EXPORT = "export"
    DEBUG = "debug"
    INSTALLATION_LOCAL = "installation-local"


class Audience(StrEnum):
    """For whom the output is meant."""

    USER_FACING = "user-facing"
    CROSS_ORG = "cross-org"
    INTERNAL = "internal"
    ACCELERATION = "acceleration"
    UNDECIDED = "undecided"


class FlakeTarget(Entry):
    """How an output is released on FlakeHub."""

    name: FlakeName = Field(description="`ORG/FLAKE` on FlakeHub.")
    versions: Literal["rolling", "tag"] = Field(
        description="`tag`: the semantic version that the build's tag names; `rolling`: one that FlakeHub makes."
    )
    workflow: WorkflowFile = Field(description="The publishing workflow in the source repository.")
    ref: WorkflowRef = Field(default="main", description="The branch whose copy of that workflow is started.")
    binaries: OutputName = Field(
        description="Key in `surfaces`: the durable Nix cache that carries the closure, so that nobody need rebuild."
    )


class PublicationTarget(Entry):
    """Where and how an output is published."""

    surface: OutputName
    way: Way
    promotion: Literal["automatic", "on-demand"]
    repository: OciRepository | None = Field(default=None, description="OCI: repository on the surface.")
    tags: tuple[TagTemplate, ...] = Field(
        default=(),
        description="OCI: immutable tags; `{revision}` is the first 12 hex digits of the source revision.",
    )
    moving_tags: tuple[OciTag, ...] = Field(default=(), description="OCI: declared channels, which may move forward.")
    flake: FlakeTarget | None = Field(default=None, description="FlakeHub: the flake, its versions, its workflow.")
    signers: tuple[OutputName, ...] = Field(
        default=(),
        description="Observes: keys in `keys` that are `for` images, one of which must have signed the image.",
    )
    attestations: tuple[Line, ...] = Field(
        default=(),
        description="Observes: predicate types that one of `signers` must have attested, such as a scan's. Only that "
        "the attestation exists is checked, NOT what it says: a scan full of findings counts. The one exception are "
        "in-toto test results v0.1, none of which may have failed.",
    )
    approvals: Approvals | None = Field(
        default=None, description="Who must approve each artifact; without it no approval is asked for."
    )
    disclosure: Text | None = Field(
        default=None,
        description="Who decided, and why, that a build of a non-public repository may become public.",
    )

    def tags_of(self, revision: GitRevision) -> tuple[str, ...]:
        """The tags that a build of this revision gets, the moving ones last."""
        return tuple(tag.replace("{revision}", str(revision)[:12]) for tag in self.tags) + self.moving_tags


class Output(Entry):
    """One output of a build: a flake attribute, an image, a Bazel target."""

    type: ArtifactType
    definition: Line = Field(
        description="Flake attribute, Containerfile or Bazel label that builds it. Receipts must name the same."
    )
    role: Role
    alias_of: OutputName | None = None
    audience: Audience
    consumption: Text | None = Field(default=None, description="How consumers are told to use it.")
    owner: OutputName = Field(description="Key in `owners`: who owns the publication path.")
    clean_because: Text | None = Field(default=None, description="Why it may stay published (phase 6).")
    repository: RepositoryUri
    cache: OutputName = Field(description="Key in `surfaces`: the mutable cache that its builder fills.")
    validations: tuple[Line, ...] = Field(
        default=(), description="What a build must pass, besides its type's validations. WARNED counts as a pass."
    )
    refs: tuple[Line, ...] = Field(
        default=("refs/heads/main", "refs/tags/*"), description="Git refs whose builds may go on, as shell patterns."
    )
    builders_that_must_agree: Annotated[int, Field(ge=1, le=9)] = 1
    built_from: tuple[OutputName, ...] = Field(default=(), description="Outputs that go into this one by digest.")
    product: OutputName | None = Field(default=None, description="Key in `products`, where several outputs compete.")
    publication: PublicationTarget | None = None

    @property
    def is_candidate(self) -> bool:
        """Whether it can ever be published; the lineage of all others ends at the cache entry."""
        return self.role is Role.PACKAGE and self.audience not in {Audience.ACCELERATION, Audience.INTERNAL}


class SourceKind(StrEnum):
    """Which forge's API a source speaks."""

    GITHUB = "github"
    GITLAB = "gitlab"


class RunSteps(Entry):
    """What a run's steps prove, by their names as the forge shows them (GitLab: by the names of jobs).

    Names are shell patterns. GitHub calls a step without a name `Run <command>` or `Run <action>`. Whoever writes a
    workflow names its steps: so on GitHub they prove something in the named `workflows` alone.
    """

    workflows: tuple[Line, ...] = Field(
        default=(),
        description="GitHub: the files whose steps prove something, such as `.github/workflows/build.yml`. A pass in "
        "others counts no more than what the job says of itself; a failure counts in all.",
    )
    bootstrap: tuple[Line, ...] = Field(
        default=(), description="Steps that install and verify the toolchain, such as `Run */determinate-nix-action@*`."
    )
    before_bootstrap: tuple[Line, ...] = Field(
        default=("Set up job", "Initialize containers", "Pre Run *", "Run actions/checkout@*"),
        description="Steps that may run before the toolchain is there. Any other step there leaves it unproven.",
    )
    validations: dict[Line, Line] = Field(
        default={}, description="Validation to the step that runs it, such as `pnpm check: Run pnpm check`."
    )


class GithubApp(Entry):
    """An installation of a GitHub App: it trades its key for tokens that live an hour."""

    id: Annotated[int, Field(ge=1)]
    installation: Annotated[int, Field(ge=1)]
    private_key: SecretRef = Field(description="Its private key, PEM.")


class ForgeSource(Entry):
    """A forge whose API says what really ran: facts about runs that their jobs have no hand in."""

    kind: SourceKind
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$", max_length=500)] = Field(
        description="Base of its API: `https://api.github.com`, `https://gitlab.example/api/v4`."
    )
    credential: Credential | None = Field(
        default=None,
        description="A token that may read runs, artifacts and contents, and nothing else, of the repositories.",
    )
    app: GithubApp | None = Field(default=None, description="GitHub: instead of a credential's token.")
    hosts: tuple[ForgeHost, ...] = Field(
        default=(), description="Hosts that it may lead to for artifacts, such as `*.blob.core.windows.net`."
    )
    repositories: Annotated[tuple[RepositoryUri, ...], Field(min_length=1)]
    repository_ids: dict[RepositoryUri, RunId] = Field(
        default={},
        description="The forge's number of a repository, where another one has rightly taken its name. Without it the "
        "first that was seen under the name is the one.",
    )
    events: tuple[Line, ...] = Field(
        default=(),
        description="Events, as the forge calls them, whose runs count too, besides pushes, tags, releases, schedules "
        "and starts by hand. Take care with `workflow_run`: it may build what a stranger proposes.",
    )
    steps: RunSteps = RunSteps()
    receipt_artifacts: Line | None = Field(
        default=None, description="Artifacts of runs that hold receipts, as a shell pattern such as `receipt-*`."
    )
    look_back_days: Annotated[int, Field(ge=1, le=400)] = Field(
        default=35, description="How far back runs are looked for: GitHub lets a run be re-run for 30 days."
    )

    @model_validator(mode="after")
    def _shows_one_thing(self) -> Self:
        if self.app is not None and self.kind is not SourceKind.GITHUB:
            raise ValueError("an app belongs to a source of the kind github")
        if self.app is not None and self.credential is not None and self.credential.authorises:
            raise ValueError("give an app, or a credential that says who asks, not both")
        return self


class AuthorityGate(Entry):
    """A condition of a change of authority, and what shows that it is met.

    Validations are read in the evidence about each build, a decision is signed by a person (`flywheel meet`); where
    both are named, both are needed. A document under `met_by` counts only where neither is: it is the catalogue's word.
    """

    condition: Text
    validations: tuple[Line, ...] = Field(default=(), description="Met when these passed for the build itself.")
    decided_by: tuple[OutputName, ...] = Field(
        default=(), description="Keys in `people`, one of whom must have signed that it is met."
    )
    met_by: Text | None = Field(default=None, description="The document or decision that shows it, once there is one.")


class AuthorityChange(Entry):
    """A declared wish to move the release authority to another output."""

    to: OutputName
    gates: Annotated[tuple[AuthorityGate, ...], Field(min_length=1)]


class Product(Entry):
    """Something users know by one name, and the one output through which it is released."""

    authority: OutputName
    statement: Text
    change: AuthorityChange | None = None
    also: tuple[OutputName, ...] = Field(
        default=(),
        description="Dual publication: other outputs that are published too, each from `canonical`.",
    )
    canonical: OutputName | None = Field(
        default=None,
        description="Dual publication: the one output whose source and revision the others must share. "
        "So it is while a change of authority is declared and what it moves from is published too.",
    )


class Rebuilding(Entry):
    """A Nix of this installation that builds again what lacks a second opinion."""

    builder: BuilderLabel = Field(
        description="Key in `builders`: its own label, under which its receipts speak. One of `keys` holds the public "
        "half of its key, `keys/rebuilder.pem` below FLYWHEEL_HOME."
    )
    nix: Annotated[str, StringConstraints(pattern=r"^/[^\s]+$", max_length=500)] = Field(
        description="The program `nix`, 2.8 or later."
    )
    store: NixStore = Field(
        description="A store of its own: `local?root=/folder`. A daemon's would be built as the daemon says."
    )
    systems: Annotated[tuple[Line, ...], Field(min_length=1)] = Field(
        default=("x86_64-linux",), description="What it can build."
    )
    substituters: tuple[Line, ...] = Field(
        default=(), description="Caches that inputs may come from. Never a mutable cache: it would answer for itself."
    )
    trusted_public_keys: tuple[Line, ...] = Field(default=(), description="Nix public keys of these caches.")
    fetch_from: dict[RepositoryUri, Annotated[str, StringConstraints(pattern=r"^(https://|file:///)[^\s]+$")]] = Field(
        default={}, description="Where a repository is fetched from, if not from its own URI: a mirror."
    )
    timeout_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(default=60, description="How long a build may take.")
    cores: Annotated[int, Field(ge=1, le=256)] = Field(default=2, description="How many cores one build may use.")
    a_day: Annotated[int, Field(ge=1, le=500)] = Field(default=10, description="How many are asked for each day.")


class Catalogue(Entry):
    """The whole catalogue."""

    version: Literal[1]
    name: OutputName
    policy_uri: Annotated[str, StringConstraints(pattern=r"^(https://|urn:)[^\s]+$", max_length=300)]
    verifier_uri: Annotated[str, StringConstraints(pattern=r"^(https://|urn:)[^\s]+$", max_length=300)]
    inbox: InboxUrl = Field(
        default="file:inbox",
        description="Where receipts arrive: `file:<folder>` (relative to FLYWHEEL_HOME), or `s3://bucket/prefix`.",
    )
    evidence: FolderUrl = Field(default="file:evidence", description="Where evidence is kept.")
    owners: dict[OutputName, Owner]
    repositories: dict[RepositoryUri, Repository]
    builders: dict[BuilderLabel, Builder]
    surfaces: dict[OutputName, Surface]
    sources: dict[OutputName, ForgeSource] = Field(
        default={}, description="Forges whose APIs say what really ran; without one, receipts alone do."
    )
    keys: dict[OutputName, TrustedKey] = Field(default={}, description="Keys that may sign receipts.")
    trust_root: Annotated[str, Field(max_length=200_000)] | None = Field(
        default=None,
        description="Keyless: a Sigstore trusted root (JSON). Or give `trust_root_file` beside the catalogue.",
    )
    rebuilder: Rebuilding | None = Field(
        default=None, description="Builds again what lacks a second opinion; without it that is only listed."
    )
    people: dict[OutputName, Person] = Field(default={}, description="Whose signed decisions count.")
    exceptions: dict[OutputName, GateException] = Field(default={}, description="Rules that do not stop something yet.")
    products: dict[OutputName, Product] = {}
    validations: dict[ArtifactType, tuple[Line, ...]] = Field(
        default={}, description="What every candidate of a type must pass, besides its own validations."
    )
    outputs: dict[OutputName, Output]

    _digests: dict[str, EvidenceDigest] = PrivateAttr(default_factory=dict)

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but a changed copy does not inherit the digests of what it was copied from."""
        copied = super().model_copy(update=update, deep=deep)
        copied._digests = {}  # noqa: SLF001 - its own, before anyone sees it
        return copied

    @property
    def digest(self) -> EvidenceDigest:
        """Digest of the canonical JSON (RFC 8785); names this catalogue in verdicts."""
        if "" not in self._digests:
            self._digests[""] = EvidenceDigest.of(canonical(self.model_dump(mode="json", by_alias=True)))
        return self._digests[""]

    def validations_of(self, output: Output) -> tuple[str, ...]:
        """Every validation that an output must pass: those of its type, if it is a candidate, then its own."""
        of_type = self.validations.get(output.type, ()) if output.is_candidate else ()
        return tuple(dict.fromkeys((*of_type, *output.validations)))

    def digest_for(self, output: str) -> EvidenceDigest:
        """Digest of the part that can bear on one output's verdicts: all but what is of unrelated outputs alone."""
        if output not in self._digests:
            entry = self.outputs[output]
            related = {output, *self.built_from(output), *([entry.alias_of] if entry.alias_of else [])}
            if entry.product is not None:
                product = self.products[entry.product]
                related |= {product.authority, *([product.canonical] if product.canonical else [])}
            document = self.model_dump(mode="json", by_alias=True)
            document["outputs"] = {name: document["outputs"][name] for name in sorted(related)}
            excepted = document["exceptions"].items()
            document["exceptions"] = {name: each for name, each in excepted if each["output"] == output}
            self._digests[output] = EvidenceDigest.of(canonical(document))
        return self._digests[output]

    def built_from(self, output: str) -> frozenset[str]:
        """The outputs that go into one, and into those."""
        found: set[str] = set()
        waiting = list(self.outputs[output].built_from)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.outputs[name].built_from
        return frozenset(found)

    def source_of(self, repository: str) -> ForgeSource | None:
        """The forge that knows the runs of a repository, where one is catalogued."""
        return next((source for source in self.sources.values() if repository in source.repositories), None)

    def durable(self, name: str) -> DurableSurface:
        """The durable surface called ``name``; loading has made sure that it is one."""
        surface = self.surfaces[name]
        if not isinstance(surface, DurableSurface):
            raise TypeError(f"{name} is not a durable surface")
        return surface

    def mutable(self, name: str) -> MutableSurface:
        """The mutable cache called ``name``; loading has made sure that it is one."""
        surface = self.surfaces[name]
        if not isinstance(surface, MutableSurface):
            raise TypeError(f"{name} is not a mutable surface")
        return surface
