"""The frame of scripts/bench: measured commands, alternating rounds, a table and JSON."""
