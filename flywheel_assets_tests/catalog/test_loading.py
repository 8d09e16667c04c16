"""Catalogues that are refused: each is an overlay of the platform's own with one thing wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.domain.errors import CatalogError
from flywheel_assets.domain.limits import Limits

BASE = Path(load_catalogue.__code__.co_filename).parent / "gloriousflywheel.yaml"
VECTORS = Path(__file__).parents[1] / "vectors" / "catalogue"
REFUSED: dict[str, tuple[int, str]] = {
    "a-list": (1, "a catalogue is a mapping."),
    "alias-bomb": (2, "uses a YAML alias; write the value out."),
    "alias-of-nothing": (12, "outputs.thing.alias_of names the output 'nothing', which is not catalogued."),
    "alias-without-target": (3, "outputs.thing.alias_of belongs to an alias, and an alias needs it."),
    "attestations-without-signers": (
        20,
        "outputs.thing.publication.attestations are believed only of signers: name them.",
    ),
    "bazel-to-a-registry": (
        13,
        "outputs.thing.publication.surface a bazel output cannot be published to a oci surface.",
    ),
    "builder-of-wrong-type": (8, "builders.mine.makes.1 Input should be 'nix', 'oci' or 'bazel'."),
    "builder-with-text-for-yes": (
        7,
        "builders.mine.must_prove_bootstrap_for Input should be a valid tuple.",
    ),
    "builder-with-unknown-owner": (5, "builders.mine.owner names the owner 'nobody', who is not in owners."),
    "change-to-nothing": (
        4,
        "products.runner-dashboard.change.to names the output 'nothing', which is not catalogued.",
    ),
    "contact-is-no-contact": (
        3,
        "owners.platform.contact String should match pattern '^(team:[A-Za-z0-9_-]+|[^@\\s]+@[^@\\s]+)$'.",
    ),
    "credential-in-the-catalogue": (
        10,
        "surfaces.mine.credential.bearer String should match pattern '^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\\s]+)$'.",
    ),
    "credential-of-two-kinds": (
        10,
        "surfaces.mine.credential give one of bearer, user with password, or netrc; or a certificate.",
    ),
    "deep-block": (33, "nests deeper than 32 levels."),
    "deep-flow": (2, "nests deeper than 32 levels."),
    "derivation-to-a-registry": (
        13,
        "outputs.thing.publication.surface a nix output cannot be published to a oci surface.",
    ),
    "duplicate-key": (5, 'found duplicate key "name" with value "b" (original value: "a").'),
    "duplicate-output": (
        5,
        "found duplicate key \"runner-dashboard\" with value \"{'role': 'check'}\" (original value: \"{'role': 'package'}\").",  # noqa: E501 - one sentence
    ),
    "empty": (1, "a catalogue is a mapping."),
    "first-class-without-boundary": (
        2,
        "builders.mine a first-class builder needs a publication_boundary: say what leaves it and what does not.",
    ),
    "flake-of-a-path": (
        17,
        "outputs.thing.publication.flake.name String should match pattern '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$'.",  # noqa: E501 - one sentence
    ),
    "flake-of-two-outputs": (
        35,
        "outputs.other.publication.flake.name 'Tinyland-Inc/Thing' is released by the output 'thing' too.",
    ),
    "flake-on-another-surface": (
        16,
        "outputs.thing.publication.flake belongs to a flakehub surface, and 'mine' is none.",
    ),
    "flake-whose-binaries-are-in-a-mutable-cache": (
        20,
        "outputs.thing.publication.flake.binaries 'attic-main' is not a durable Nix cache.",
    ),
    "flake-whose-binaries-are-nowhere": (
        20,
        "outputs.thing.publication.flake.binaries 'nowhere' is not a durable Nix cache.",
    ),
    "flake-whose-binaries-are-private": (
        20,
        "outputs.thing.publication.flake.binaries 'mine' is not for all who may see the release.",
    ),
    "flake-with-a-workflow-elsewhere": (
        19,
        "outputs.thing.publication.flake.workflow String should match pattern '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\\.ya?ml$'.",  # noqa: E501 - one sentence
    ),
    "flake-without-binaries": (16, "outputs.thing.publication.flake.binaries is required and missing."),
    "flakehub-without-flake": (
        12,
        "outputs.thing.publication needs `flake`: its name on FlakeHub, its versions, its workflow, and what carries its binaries.",  # noqa: E501 - one sentence
    ),
    "flakehub-without-forge": (
        13,
        "outputs.thing.publication.surface 'flakehub' names no `forge`, where the workflows that publish to it are started.",  # noqa: E501 - one sentence
    ),
    "forge-without-credential": (31, "surfaces.flakehub.forge.credential is required and missing."),
    "flakehub-by-copies": (14, "outputs.thing.publication.way flakehub takes `triggers`, and only flakehub does."),
    "gate-without-condition": (7, "products.runner-dashboard.change.gates.1.condition is required and missing."),
    "image-without-repository": (
        12,
        "outputs.thing.publication an image needs a repository and at least one immutable tag.",
    ),
    "image-without-tags": (12, "outputs.thing.publication an image needs a repository and at least one immutable tag."),
    "impossible-date": (7, "holds a value that cannot be read: month must be in 1..12."),
    "integer-of-many-digits": (
        1,
        "holds a value that cannot be read: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to in….",  # noqa: E501 - one sentence
    ),
    "issuer-without-identity": (4, "keys.mine issuer and identity belong together."),
    "key-and-identity": (4, "keys.mine give a public_key, or an issuer with an identity."),
    "key-file-absolute": (3, "keys.mine.public_key_file leaves the catalogue's folder."),
    "key-file-empty": (3, "keys.mine.public_key String should have at least 1 character."),
    "key-file-missing": (3, "keys.mine.public_key_file cannot be read: keys/missing.pub."),
    "key-file-outside": (3, "keys.mine.public_key_file leaves the catalogue's folder."),
    "key-file-with-nul": (3, "keys.mine.public_key_file cannot be read: a\\x00b."),
    "key-for-nothing": (4, "keys.mine.for Tuple should have at least 1 item after validation, not 0."),
    "key-of-unknown-builder": (4, "keys.mine.builders.0 speaks for the builder 'nobody', which is not catalogued."),
    "key-of-unknown-repository": (
        6,
        "keys.mine.repositories.0 speaks for https://github.com/tinyland-inc/Other, which is not in repositories.",
    ),
    "key-of-wrong-repository": (
        7,
        "keys.mine.repositories.1 String should match pattern '^https://[a-z0-9.-]+(:\\d+)?(/[A-Za-z0-9._~-]+)+$'.",
    ),
    "key-that-is-no-pem": (
        4,
        "keys.mine.public_key is no PEM of one public key (SubjectPublicKeyInfo), and nothing else.",
    ),
    "key-that-is-nothing": (3, "keys.mine give a public_key, or an issuer with an identity."),
    "key-under-two-names": (9, "keys.other.public_key is the key 'mine' in keys too: one signer has one name."),
    "key-with-a-line-more": (
        4,
        "keys.mine.public_key is no PEM of one public key (SubjectPublicKeyInfo), and nothing else.",
    ),
    "keyless-without-trust-root": (
        5,
        "keys.mine.identity is keyless, and the catalogue gives no trust_root to verify it against.",
    ),
    "level-without-isolation": (
        2,
        "keys.mine slsa_build_level above 1 needs isolated: true (SLSA v1.1, Build L2: provenance is authentic).",
    ),
    "merge-key": (5, "uses a YAML alias; write the value out."),
    "mutable-cache-as-image-publication": (
        13,
        "outputs.thing.publication.surface 'oci-staging' is a mutable cache: filling it is never publication.",
    ),
    "mutable-cache-as-publication": (
        13,
        "outputs.thing.publication.surface 'attic-main' is a mutable cache: filling it is never publication.",
    ),
    "nix-surface-without-authority": (
        13,
        "outputs.thing.publication.surface 'mine' is a Nix cache that is not declared an authority.",
    ),
    "not-utf-8": (3, "byte 33 is not UTF-8."),
    "output-built-from-nothing": (
        12,
        "outputs.thing.built_from.0 names the output 'nothing', which is not catalogued.",
    ),
    "output-in-a-cache-of-another-kind": (
        11,
        "outputs.thing.cache 'oci-staging' is a oci cache and the output is nix.",
    ),
    "output-in-a-durable-cache": (11, "outputs.thing.cache 'flakehub' is not a mutable surface."),
    "output-name-with-a-path": (3, "outputs.../thing String should match pattern '^[a-z0-9][a-z0-9_-]{0,62}$'."),
    "output-of-unknown-product": (12, "outputs.thing.product names the product 'nothing', which is not in products."),
    "output-of-unknown-repository": (
        10,
        "outputs.thing.repository https://github.com/tinyland-inc/Other is not in repositories.",
    ),
    "output-with-unknown-cache": (11, "outputs.thing.cache 'nowhere' is not a mutable surface."),
    "output-with-unknown-owner": (9, "outputs.thing.owner names the owner 'nobody', who is not in owners."),
    "output-without-owner": (3, "outputs.thing.owner is required and missing."),
    "owners-is-a-list": (1, "owners Input should be a valid dictionary."),
    "private-surface-read-by-nobody": (
        3,
        "surfaces.mine.read_credential is needed: consumers of this surface do not read anonymously.",
    ),
    "product-of-nothing": (4, "products.mine.authority names the output 'nothing', which is not catalogued."),
    "public-surface-read-with-a-credential": (
        10,
        "surfaces.mine.read_credential is not for a public surface, which is read back anonymously.",
    ),
    "publication-of-a-check": (
        12,
        "outputs.thing.publication belongs only to a package that is user-facing or cross-org.",
    ),
    "publication-of-an-internal-output": (
        12,
        "outputs.thing.publication belongs only to a package that is user-facing or cross-org.",
    ),
    "publication-of-an-undecided-output": (
        12,
        "outputs.thing.publication belongs only to a package that is user-facing or cross-org.",
    ),
    "publication-to-nowhere": (13, "outputs.thing.publication.surface 'nowhere' is not in surfaces."),
    "publication-without-validation": (
        14,
        "outputs.thing.publication needs at least one validation, of the output or of its type.",
    ),
    "registry-in-s3": (6, "surfaces.mine.url is in S3, where only a durable Nix cache can be."),
    "signer-for-receipts-only": (
        25,
        "outputs.thing.publication.signers.0 names the key 'mine', which is not `for` images.",
    ),
    "signer-of-another-repository": (
        27,
        "outputs.thing.publication.signers.0 names the key 'mine', which does not speak for its repository.",
    ),
    "signer-unknown": (20, "outputs.thing.publication.signers.0 names the key 'nobody', which is not in keys."),
    "signers-of-a-copy": (
        20,
        "outputs.thing.publication has signers or attestations, which belong to the way `observes`.",
    ),
    "surface-named-durable": (
        5,
        "surfaces.durable.url String should match pattern '^(file:[^\\s]+|https?://[^\\s/?#@]+(/[^\\s?#@]*)?|s3://[a-z0-9.-]+(/[^\\s?#]*)?)$'.",
    ),
    "surface-over-ftp": (
        5,
        "surfaces.mine.url String should match pattern '^(file:[^\\s]+|https?://[^\\s/?#@]+(/[^\\s?#@]*)?|s3://[a-z0-9.-]+(/[^\\s?#]*)?)$'.",
    ),
    "surface-that-forgets": (8, "surfaces.mine.retention Input should be 'never'."),
    "surface-with-unknown-owner": (6, "surfaces.mine.owner names the owner 'nobody', who is not in owners."),
    "surface-without-role": (2, "surfaces.mine Unable to extract tag using discriminator 'role'."),
    "tab": (2, "found character '\\t' that cannot start any token."),
    "tagged-integer": (1, "holds a value that cannot be read: invalid literal for int() with base 10: 'x'."),
    "trust-root-file-missing": (2, "trust_root_file cannot be read: missing.json."),
    "trust-root-file-outside": (2, "trust_root_file leaves the catalogue's folder."),
    "trust-root-is-no-json": (
        2,
        "trust_root is no Sigstore trusted root: JSON with the mediaType application/vnd.dev.sigstore.trustedroot+json;version=0.1.",  # noqa: E501 - one sentence
    ),
    "trust-root-of-another-kind": (
        2,
        "trust_root is no Sigstore trusted root: JSON with the mediaType application/vnd.dev.sigstore.trustedroot+json;version=0.1.",  # noqa: E501 - one sentence
    ),
    "trust-root-without-logs": (2, "trust_root names no tlogs, and without them nothing keyless verifies."),
    "two-documents": (2, "but found another document."),
    "unclosed": (4, "expected ',' or '}', but got ':'."),
    "unknown-key-at-top": (3, "ouputs is not a key that the catalogue knows."),
    "unknown-key-inside": (3, "owners.platform.colour is not a key that the catalogue knows."),
    "user-without-password": (10, "surfaces.mine.credential user and password belong together."),
    "version-two": (2, "version Input should be 1."),
    "approvals-by-nobody-known": (
        7,
        "outputs.runner-dashboard-image.publication.approvals.by.0 names 'alice', who is not in people.",
    ),
    "approvals-by-one-person-twice": (
        14,
        "outputs.runner-dashboard-image.publication.approvals.by.1 names 'alice' a second time.",
    ),
    "approvals-by-who-may-not": (
        14,
        "outputs.runner-dashboard-image.publication.approvals.by.0 names 'alice', who may not approve.",
    ),
    "approvals-of-more-than-there-are": (
        13,
        "outputs.runner-dashboard-image.publication.approvals.needed asks for 2 people, and `by` names 1.",
    ),
    "approvals-of-nobody": (
        13,
        "outputs.runner-dashboard-image.publication.approvals.needed Input should be greater than or equal to 1.",
    ),
    "approvals-that-last-forever": (
        15,
        "outputs.runner-dashboard-image.publication.approvals.last_days Input should be less than or equal to 90.",
    ),
    "canonical-of-one": (
        4,
        "products.runner-dashboard.canonical belongs to a dual publication: name the other outputs under `also`.",
    ),
    "canonical-that-is-not-published": (
        5,
        "products.runner-dashboard.canonical names 'attic-client', which is neither the authority nor in `also`.",
    ),
    "change-to-the-authority": (
        5,
        "products.runner-dashboard.change.to names the output 'runner-dashboard-image', which is the authority already.",  # noqa: E501 - one sentence
    ),
    "change-to-what-goes-out-already": (
        6,
        "products.runner-dashboard.change.to names 'runner-dashboard', which `also` lets out whatever its gates say.",
    ),
    "dual-publication-of-another-product": (
        4,
        "products.runner-dashboard.also.0 names the output 'attic-client', which is not of this product.",
    ),
    "dual-publication-of-nothing": (
        4,
        "products.runner-dashboard.also.0 names the output 'nothing', which is not catalogued.",
    ),
    "dual-publication-with-itself": (
        4,
        "products.runner-dashboard.also.0 names the output 'runner-dashboard-image', which is the authority already.",
    ),
    "exception-of-a-reason-that-has-none": (
        5,
        "exceptions.for-now.reason 'fork' is no reason of output_is_not_transient that can be excepted: other-ref, trigger-claim-untrusted.",  # noqa: E501 - one sentence
    ),
    "exception-of-a-rule-that-has-none": (
        4,
        "exceptions.for-now.rule 'not_withdrawn' is no rule that can be excepted: output_is_not_transient, ownership_is_documented, rebuild_agrees, source_can_be_reidentified, toolchain_bootstrap_was_proven, use_is_intended, validation_is_green.",  # noqa: E501 - one sentence
    ),
    "exception-of-a-validation-for-another-reason": (
        3,
        "exceptions.for-now validations belong to validation-claim-untrusted, validation-failed, validation-missing.",
    ),
    "exception-of-a-validation-that-is-not-asked-for": (
        10,
        "exceptions.for-now.validations.1 names 'fuzzing', which runner-dashboard need not pass.",
    ),
    "exception-of-another-rules-reason": (
        5,
        "exceptions.for-now.reason 'other-ref' is no reason of validation_is_green that can be excepted: validation-claim-untrusted, validation-failed, validation-missing.",  # noqa: E501 - one sentence
    ),
    "exception-of-any-validation": (
        3,
        "exceptions.for-now name under `validations` those that it is about: validation-failed may be said of any.",
    ),
    "exception-of-half-a-digest": (
        10,
        "exceptions.for-now.digest String should match pattern '^sha256:[0-9a-f]{64}$'.",
    ),
    "exception-of-unknown-output": (
        6,
        "exceptions.for-now.output names the output 'nothing', which is not catalogued.",
    ),
    "exception-of-unknown-owner": (7, "exceptions.for-now.owner names the owner 'nobody', who is not in owners."),
    "exception-without-a-time-zone": (9, "exceptions.for-now.until Input should have timezone info."),
    "exception-without-end": (3, "exceptions.for-now.until is required and missing."),
    "gate-decided-by-nobody-known": (
        8,
        "products.runner-dashboard.change.gates.0.decided_by.0 names 'alice', who is not in people.",
    ),
    "gate-decided-by-who-may-not": (
        15,
        "products.runner-dashboard.change.gates.0.decided_by.0 names 'alice', who may not meet.",
    ),
    "person-who-approves-and-is-no-one-on-the-forge": (
        7,
        "people.alice.forge_names must say what forges call whoever may approve: nobody approves what they triggered.",
    ),
    "person-who-may-nothing": (8, "people.alice.may Tuple should have at least 1 item after validation, not 0."),
    "person-who-may-revoke": (8, "people.alice.may.1 is up to whoever may decide what is revoked: name that."),
    "person-with-a-builders-key": (
        12,
        "people.alice.keys.0 is the key 'mine' in keys too: one signature would speak for two.",
    ),
    "person-with-a-key-of-a-kind-that-does-not-sign": (
        6,
        "people.alice.keys is neither an Ed25519, an ECDSA (P-256, P-384, P-521) nor an RSA key.",
    ),
    "person-with-a-line-behind-the-key": (
        6,
        "people.alice.keys is no PEM of one public key (SubjectPublicKeyInfo), and nothing else.",
    ),
    "person-with-anothers-key": (12, "people.bob.keys.0 is a key of 'alice' too: one signature would speak for two."),
    "person-with-anothers-key-in-other-lines": (
        12,
        "people.bob.keys.0 is a key of 'alice' too: one signature would speak for two.",
    ),
    "person-with-anothers-key-of-openssh": (
        12,
        "people.bob.keys.0 is a key of 'alice' too: one signature would speak for two.",
    ),
    "person-with-no-key-of-openssh": (6, "people.alice.keys is no Ed25519 key of OpenSSH."),
}


def problems(*files: Path, limits: Limits | None = None) -> list[str]:
    with pytest.raises(CatalogError) as error:
        load_catalogue(list(files), limits or Limits())
    return error.value.problems


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_catalogue_with_one_thing_wrong_is_refused_by_file_line_and_sentence(name: str) -> None:
    line, sentence = REFUSED[name]
    file = VECTORS / f"{name}.yaml"
    assert problems(BASE, file) == [f"{file}:{line}: {sentence}"]


def test_every_vector_has_an_expectation() -> None:
    assert {file.stem for file in VECTORS.glob("*.yaml")} == set(REFUSED)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text("version: 2\nowners:\n  platform:\n    colour: green\n", "utf-8")
    assert problems(BASE, file) == [
        f"{file}:1: version Input should be 1.",
        f"{file}:4: owners.platform.colour is not a key that the catalogue knows.",
    ]


def test_an_over_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"\xff" * (2 * 2**20 + 1))
    assert problems(file) == [f"{file}: is larger than 2,097,152 bytes."]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == [f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory."]
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory."]


def test_no_files_are_no_catalogue() -> None:
    assert "catalogue:1: version is required and missing." in problems()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (tmp_path / "secret.pub").write_text("x", "utf-8")
    (folder / "link.pub").symlink_to(tmp_path / "secret.pub")
    file = folder / "overlay.yaml"
    file.write_text("keys:\n  mine:\n    public_key_file: link.pub\n", "utf-8")
    assert problems(BASE, file) == [f"{file}:3: keys.mine.public_key_file leaves the catalogue's folder."]


def test_a_fault_in_a_list_that_an_overlay_replaced_is_found_in_the_overlay(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    product = "products:\n  runner-dashboard:\n    change:\n      to: runner-dashboard\n      gates:\n"
    first.write_text("\n\n\n" + product + "        - condition: decided\n", "utf-8")
    second.write_text(product + "        - conditions: decided\n", "utf-8")
    found = problems(BASE, first, second)
    assert [problem.split(": ")[0] for problem in found] == [f"{second}:6", f"{second}:6", f"{second}:5"]


YAML_LIKE = st.lists(
    st.sampled_from(
        [
            "owners",
            "keys",
            "surfaces",
            ": ",
            ":\n  ",
            "\n",
            "\n- ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "&a ",
            "*a",
            "!!int ",
            "!!set ",
            "!!binary ",
            "!!timestamp ",
            "!!omap ",
            "!!float ",
            "!x ",
            "? ",
            "<<",
            "|\n ",
            ">\n ",
            "'",
            '"',
            "#",
            "2001-13-45",
            "0o9",
            "1e999",
            ".inf",
            ".nan",
            "~",
            "%YAML 1.1\n---\n",
            "---\n",
            "...\n",
            "\t",
            "\x00",
            "\ufeff",
            '"\\ud800"',
            "public_key_file: x",
            "durable",
            "mutable",
            "role",
            "version: 1\n",
            "9" * 30,
            "yes",
            "=",
            "é",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=200)
@given(st.text(max_size=60) | YAML_LIKE, st.booleans())
def test_arbitrary_text_is_loaded_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, text: str, over_base: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = ["catalogue:1: a problem"]
    try:
        # The base takes most of the time: what is wrong with the text itself shows without it too.
        load_catalogue([BASE, file] if over_base and len(text) < 8 else [file])
    except CatalogError as error:
        found = error.problems
    assert found
    assert all(problem.startswith((f"{file}:", f"{BASE}:", "catalogue:1:")) for problem in found)
