-- Why: one table of each class for the tests of this crate. Expand step.
CREATE TABLE :schema.note (
    organization_id uuid        NOT NULL,
    note_id         uuid        NOT NULL,
    title           text        NOT NULL,
    state           smallint    NOT NULL DEFAULT 1,
    size            integer     NOT NULL DEFAULT 0,
    pinned          boolean     NOT NULL DEFAULT false,
    owner_id        uuid,
    tags            text[]      NOT NULL DEFAULT '{}',
    reader_ids      uuid[]      NOT NULL DEFAULT '{}',
    create_time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, note_id),
    UNIQUE (organization_id, title),
    CHECK (size >= 0)
);
SELECT :schema.mark_tenant('note', 'a note belongs to an organization');
CREATE TABLE :schema.paper (
    organization_id uuid NOT NULL,
    workspace_id    uuid NOT NULL,
    paper_id        uuid NOT NULL,
    PRIMARY KEY (organization_id, paper_id)
);
SELECT :schema.mark_workspace('paper', 'a paper belongs to a workspace');
CREATE TABLE :schema.diary (
    user_id uuid NOT NULL,
    day     integer NOT NULL,
    shared  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, day)
);
SELECT :schema.mark_user('diary', 'a diary belongs to a person', readable => 'shared');
CREATE TABLE :schema.weather (day integer PRIMARY KEY);
CREATE TABLE :schema.firm (organization_id uuid PRIMARY KEY);
SELECT :schema.mark_tenant('firm', 'a firm is an organization', exception => '(SELECT :schema.in_system_scope())');
SELECT :schema.mark_service('weather', 'the weather is the same for everybody', verbs => 'SELECT');
