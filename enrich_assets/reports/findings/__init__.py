"""Findings: what stands out in a run, in plain language, with numbers, rows and what to do. A new kind is one function
and one line in `findings.kinds`."""
