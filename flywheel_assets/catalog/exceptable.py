"""Which rules of the gate an exception of the catalogue may reach, and which of their reasons."""

EXCEPTABLE: dict[str, frozenset[str]] = {
    "toolchain_bootstrap_was_proven": frozenset({"bootstrap-unproven", "bootstrap-claim-untrusted"}),
    "validation_is_green": frozenset({"validation-failed", "validation-missing", "validation-claim-untrusted"}),
    "source_can_be_reidentified": frozenset({"inputs-not-locked", "source-claim-untrusted"}),
    "rebuild_agrees": frozenset({"second-builder-missing"}),
    "use_is_intended": frozenset({"consumption-undocumented"}),
    "output_is_not_transient": frozenset({"other-ref", "trigger-claim-untrusted"}),
    "ownership_is_documented": frozenset({"cleanness-undocumented"}),
}
"""Never who signed, what was read, what people decided, or damage."""

OF_VALIDATIONS = EXCEPTABLE["validation_is_green"]
"""Reasons that are about validations: an exception names those that it is about, and excepts no other."""
