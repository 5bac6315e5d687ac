"""The contract between the stages: labels, preprocessing, package, runtimes, metrics, errors. No torch."""
