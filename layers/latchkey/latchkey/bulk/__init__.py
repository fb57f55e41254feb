"""From a manifest to one onboarding request for each of its lines, and to one file with their results."""
