"""What forges call the event that started a run, in the receipt's words (domain.builds.TriggerEvent).

Words and nothing else, so that a builder's command and what reads a forge go by one table, and the command loads no
models for it. Sources: GitHub, "Events that trigger workflows"; GitLab, "Predefined variables", CI_PIPELINE_SOURCE.
"""

TRIGGERS = {
    "push": "push",
    "tag": "tag",
    "release": "tag",
    "schedule": "schedule",
    "workflow_dispatch": "manual",
    "manual": "manual",
    "web": "manual",
    "api": "manual",
    "trigger": "manual",
    "pull_request": "pull_request",
    "pull_request_target": "pull_request",
    "pull_request_review": "pull_request",
    "pull_request_review_comment": "pull_request",
    "merge_group": "pull_request",
    "merge_request_event": "pull_request",
    "external_pull_request_event": "pull_request",
}

OTHER = "manual"
"""All other events in the receipt's words; they count only where the catalogue names them."""

OTHERS = frozenset(
    (
        # GitHub
        *("branch_protection_rule", "check_run", "check_suite", "create", "delete", "deployment", "deployment_status"),
        *("discussion", "discussion_comment", "fork", "gollum", "image_version", "issue_comment", "issues", "label"),
        *("milestone", "page_build", "public", "registry_package", "repository_dispatch", "status", "watch"),
        *("workflow_call", "workflow_run"),
        # GitLab
        *("chat", "container_registry_push", "external", "ondemand_dast_scan", "ondemand_dast_validation"),
        *("parent_pipeline", "pipeline", "security_orchestration_policy", "webide"),
    )
)
"""Those of them that are known by name: a word that no forge uses is a slip, and not "manual"."""
