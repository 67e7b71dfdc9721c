"""What operators look at: counts of the database, traces, the context of log lines."""
