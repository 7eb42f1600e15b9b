"""The peers: one module each, all with the same table ``KINDS`` from a workload's kind to a function that makes a Job."""
