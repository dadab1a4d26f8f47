"""The agent: keeper → judge → export. It does the thinking and sending, outside the host's frames.

By default it is a process of its own, started and watched by ``lifecycle``; the same ``Agent`` runs on a
thread where a second process is unwanted.
"""
