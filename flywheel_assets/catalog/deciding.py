"""What a catalogue says of decisions: people, approvals, exceptions and release authorities must fit together."""

from collections.abc import Iterator

from flywheel_assets.catalog.exceptable import EXCEPTABLE
from flywheel_assets.catalog.models import Approvals, Catalogue, Product
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.public_keys import fingerprint_of

Complaint = tuple[tuple[str, ...], str]


def complaints_about_decisions(catalogue: Catalogue) -> Iterator[Complaint]:
    """Every cross-reference of decisions that does not hold, as (path, sentence)."""
    yield from _signers(catalogue)
    for name, output in catalogue.outputs.items():
        if output.publication is not None and output.publication.approvals is not None:
            path = ("outputs", name, "publication", "approvals")
            yield from _approvals(catalogue, path, output.publication.approvals)
    yield from _exceptions(catalogue)
    for name, product in catalogue.products.items():
        yield from _product(catalogue, name, product)


def _signers(catalogue: Catalogue) -> Iterator[Complaint]:
    """Whether everybody has keys of their own, compared as what they are: PEM and OpenSSH write the same in many ways.

    Under two names one key would be two signers, of whom one might be trusted, or in quarantine, and the other not.
    """
    taken: dict[str, str] = {}
    yield from _keys(catalogue, taken)
    for name, person in catalogue.people.items():
        mine = f"a key of {name!r}"
        for number, fingerprint in enumerate(map(fingerprint_of, person.public_keys)):
            whose = taken.setdefault(fingerprint, mine)
            if whose != mine:
                yield ("people", name, "keys", str(number)), f"is {whose} too: one signature would speak for two"
        for number, act in enumerate(person.may):
            if act is Act.REVOKE:
                yield ("people", name, "may", str(number)), "is up to whoever may decide what is revoked: name that"
        if Act.APPROVE in person.may and not person.forge_names:
            yield (
                ("people", name, "forge_names"),
                "must say what forges call whoever may approve: nobody approves what they triggered",
            )


def _keys(catalogue: Catalogue, taken: dict[str, str]) -> Iterator[Complaint]:
    for name, key in catalogue.keys.items():
        path = ("keys", name, "public_key" if key.public_key is not None else "identity")
        try:
            if key.public_key is not None:
                fingerprint_of(key.public_key)
        except ValueError as error:
            yield path, str(error)
        if key.fingerprint in taken:
            yield path, f"is {taken[key.fingerprint]} too: one signer has one name"
        taken.setdefault(key.fingerprint, f"the key {name!r} in keys")


def _approvals(catalogue: Catalogue, path: tuple[str, ...], approvals: Approvals) -> Iterator[Complaint]:
    yield from _deciders(catalogue, (*path, "by"), approvals.by, Act.APPROVE)
    people = len(set(approvals.by))
    if approvals.needed > people:
        yield (*path, "needed"), f"asks for {approvals.needed} people, and `by` names {people}"


def _deciders(catalogue: Catalogue, path: tuple[str, ...], names: tuple[str, ...], act: Act) -> Iterator[Complaint]:
    for number, name in enumerate(names):
        if name not in catalogue.people:
            yield (*path, str(number)), f"names {name!r}, who is not in people"
        elif act not in catalogue.people[name].may:
            yield (*path, str(number)), f"names {name!r}, who may not {act.value}"
        if name in names[:number]:
            yield (*path, str(number)), f"names {name!r} a second time"


def _exceptions(catalogue: Catalogue) -> Iterator[Complaint]:
    for name, entry in catalogue.exceptions.items():
        path = ("exceptions", name)
        if entry.rule not in EXCEPTABLE:
            yield (*path, "rule"), f"{entry.rule!r} is no rule that can be excepted: {', '.join(sorted(EXCEPTABLE))}"
        elif entry.reason not in EXCEPTABLE[entry.rule]:
            known = ", ".join(sorted(EXCEPTABLE[entry.rule]))
            yield (*path, "reason"), f"{entry.reason!r} is no reason of {entry.rule} that can be excepted: {known}"
        if entry.output not in catalogue.outputs:
            yield (*path, "output"), f"names the output {entry.output!r}, which is not catalogued"
        elif entry.reason != "validation-failed":  # any may have failed, and only what is wanted can be missing
            wanted = catalogue.validations_of(catalogue.outputs[entry.output])
            for number, each in enumerate(entry.validations):
                if each not in wanted:
                    yield (*path, "validations", str(number)), f"names {each!r}, which {entry.output} need not pass"
        if entry.owner not in catalogue.owners:
            yield (*path, "owner"), f"names the owner {entry.owner!r}, who is not in owners"


def _product(catalogue: Catalogue, name: str, product: Product) -> Iterator[Complaint]:
    path = ("products", name)
    named: list[tuple[tuple[str, ...], str]] = [(("authority",), product.authority)]
    named += [(("also", str(number)), output) for number, output in enumerate(product.also)]
    named += [(("change", "to"), product.change.to)] if product.change else []
    for field, target in named:
        if target not in catalogue.outputs:
            yield (*path, *field), f"names the output {target!r}, which is not catalogued"
        elif catalogue.outputs[target].product != name:
            yield (*path, *field), f"names the output {target!r}, which is not of this product"
    for field, target in named[1:]:
        if target == product.authority:
            yield (*path, *field), f"names the output {target!r}, which is the authority already"
    if product.canonical is not None and product.canonical not in {product.authority, *product.also}:
        yield (*path, "canonical"), f"names {product.canonical!r}, which is neither the authority nor in `also`"
    if product.canonical is not None and not product.also and product.change is None:
        yield (*path, "canonical"), "belongs to a dual publication: name the other outputs under `also`"
    if product.change is not None and product.change.to in product.also:
        yield (*path, "change", "to"), f"names {product.change.to!r}, which `also` lets out whatever its gates say"
    for number, gate in enumerate(product.change.gates if product.change else ()):
        where = (*path, "change", "gates", str(number), "decided_by")
        yield from _deciders(catalogue, where, gate.decided_by, Act.MEET)
