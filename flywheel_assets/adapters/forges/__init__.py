"""Forges as sources of facts about runs: the REST APIs of GitHub and GitLab, by the one HTTP client."""
