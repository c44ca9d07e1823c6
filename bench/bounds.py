"""What bounds a row, said by what its processors did meanwhile.

A session is served by one task at a time and asked by one thread, so a server or a client that uses nearly all of as
many cores as there are sessions cannot do more. Where neither does, and there are cores left, somebody waits: what for
is in the row's own words, which are right only where the figures leave nothing else.
"""

FULL = 0.85


def sentence(row, cores):
    """Of the first contestant, by the medians."""
    label = row.contestants[0].label
    server, client, busiest = (row.median(label, key) for key in ("server_cores", "client_cores", "client_busiest"))
    if server is None:
        return row.waits_for
    shown = f"server {server:.2f}" + (f" and client {client:.2f}" if client is not None else "")
    shown += f" of {cores} cores"
    if busiest is not None and busiest >= FULL:
        return f"the client: its busiest session used {busiest:.2f} of a core ({shown})"
    if client is not None and server + client >= FULL * cores:
        return f"the processors: {shown}"
    if server >= FULL * min(row.sessions, cores):
        return f"our own CPU: {shown}"
    return f"{row.waits_for}: {shown}, so neither is full"
