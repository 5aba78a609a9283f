-- Temporary files of machines, and files of the storage that nothing names.
-- No data is lost. Workers and servers of the previous version keep working.

-- Temporary files of each machine, as the processes there have measured them, and the last clean-up that removed some.
CREATE TABLE scratch_spaces (
    host            text NOT NULL,
    folder          text NOT NULL,
    measured_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    bytes           bigint NOT NULL,          -- of everything
    live_bytes      bigint NOT NULL,          -- of it, what live processes have
    removable_files bigint NOT NULL,          -- what the next clean-up removes
    removable_bytes bigint NOT NULL,
    max_bytes       bigint NOT NULL,
    cleaned_at      timestamptz,
    removed_files   bigint NOT NULL DEFAULT 0,
    removed_bytes   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (host, folder)
);

-- Searches of the storage for files that nothing names. Only the newest one is kept.
CREATE TABLE orphan_searches (
    id             uuid PRIMARY KEY,
    status         text NOT NULL DEFAULT 'searching'
                   CHECK (status IN ('searching', 'found', 'deleting', 'deleted', 'failed')),
    modified_before timestamptz NOT NULL,     -- younger files are no orphans
    listed         bigint NOT NULL DEFAULT 0, -- files of the storage that were compared with the tables
    deleted        bigint NOT NULL DEFAULT 0,
    deleted_bytes  bigint NOT NULL DEFAULT 0,
    kept           bigint NOT NULL DEFAULT 0, -- orphans that were replaced or named between search and deletion
    error          text,
    requested_by   text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    found_at       timestamptz,               -- end of the search
    finished_at    timestamptz,               -- end of the deletion
    owner          uuid,                      -- server process that searches or deletes
    owned_until    timestamptz NOT NULL DEFAULT '-infinity' -- after this time, another one takes it over
);

CREATE TABLE orphaned_objects (
    search      uuid NOT NULL REFERENCES orphan_searches ON DELETE CASCADE,
    key         text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('job', 'upload', 'direct_upload', 'check', 'unfinished')),
    token       text NOT NULL,     -- id of the job or upload, or SHA-256: part of every text that names the file
    texts       text[] NOT NULL,   -- the key as JSON and URLs contain it
    size        bigint NOT NULL,
    modified_at timestamptz NOT NULL,
    PRIMARY KEY (search, key)
);
CREATE INDEX orphaned_objects_by_token ON orphaned_objects (search, token);
