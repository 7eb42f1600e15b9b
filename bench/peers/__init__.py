"""The peers: one module each, all with a table ``KINDS`` from a workload's kind to a function that makes a Job."""
