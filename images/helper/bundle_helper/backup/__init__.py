"""Sets: the database, the media and the folder of a server, in a restic repository."""
