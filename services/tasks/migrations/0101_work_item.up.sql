-- Why: what is to be done. Every order that a list offers has an index of its own over the items that are not deleted. Expand step; locks
-- nothing that exists but the products, which are empty.
CREATE TABLE :schema.work_item (
    organization_id uuid        NOT NULL,
    workspace_id    uuid        NOT NULL,
    product_id      uuid        NOT NULL,
    work_item_id    uuid        NOT NULL,
    number          bigint      NOT NULL CHECK (number > 0),
    key             text        NOT NULL,                                -- the product's key, '-', the number
    parent_id       uuid,
    type            smallint    NOT NULL CHECK (type BETWEEN 1 AND 7),   -- muster.tasks.v1.WorkItemType
    title           text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 500),
    description     text        NOT NULL CHECK (octet_length(description) <= 65536),
    state           smallint    NOT NULL CHECK (state BETWEEN 1 AND 6),  -- muster.tasks.v1.WorkItemState
    priority        smallint    NOT NULL CHECK (priority BETWEEN 0 AND 4),
    effort          smallint    NOT NULL CHECK (effort BETWEEN 0 AND 4),
    assignee_ids    uuid[]      NOT NULL CHECK (cardinality(assignee_ids) <= 20),
    reporter_id     uuid        NOT NULL,
    labels          text[]      NOT NULL CHECK (cardinality(labels) <= 50),
    due_time        timestamptz,
    version         bigint      NOT NULL,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    delete_time     timestamptz,
    -- Where it was imported from, and what the plan said the last time; all NULL for other items. A deleted item is no longer of its plan.
    import_document text,
    import_key      bytea       CHECK (octet_length(import_key) = 32),
    import_sha256   bytea       CHECK (octet_length(import_sha256) = 32),
    import_checked  boolean,
    -- What lists are ordered by. Columns, because behind row security Postgres uses no index for a place in a list that an expression says.
    due_time_order   timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(due_time, timestamptz '9999-12-31 23:59:59.999999+00')) STORED,   -- none comes last
    key_order        text        COLLATE "C" NOT NULL GENERATED ALWAYS AS (split_part(key, '-', 1) || '-' || lpad(number::text, 19, '0')) STORED,   -- ABC-2 before ABC-10, AB-9 before ABC-1
    CHECK (num_nonnulls(import_document, import_key, import_sha256, import_checked) IN (0, 4)),
    CHECK (import_key IS NULL OR delete_time IS NULL),
    CHECK (parent_id <> work_item_id),
    PRIMARY KEY (organization_id, work_item_id),
    UNIQUE (organization_id, product_id, number),
    UNIQUE (organization_id, product_id, work_item_id),
    FOREIGN KEY (organization_id, workspace_id, product_id) REFERENCES :schema.product (organization_id, workspace_id, product_id),
    CONSTRAINT work_item_parent_fkey FOREIGN KEY (organization_id, product_id, parent_id)
        REFERENCES :schema.work_item (organization_id, product_id, work_item_id)
);
CREATE INDEX work_item_parent_id_idx ON :schema.work_item (organization_id, product_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX work_item_import_key_idx ON :schema.work_item (organization_id, product_id, import_key) WHERE import_key IS NOT NULL;
CREATE INDEX work_item_create_time_idx ON :schema.work_item (organization_id, workspace_id, create_time, work_item_id)
    WHERE delete_time IS NULL;
CREATE INDEX work_item_update_time_idx ON :schema.work_item (organization_id, workspace_id, update_time, work_item_id)
    WHERE delete_time IS NULL;
CREATE INDEX work_item_due_time_idx ON :schema.work_item (organization_id, workspace_id, due_time_order, work_item_id) WHERE delete_time IS NULL;
CREATE INDEX work_item_priority_idx ON :schema.work_item (organization_id, workspace_id, priority, work_item_id) WHERE delete_time IS NULL;
CREATE INDEX work_item_key_idx ON :schema.work_item (organization_id, workspace_id, key_order, work_item_id) WHERE delete_time IS NULL;
-- Finding one item by its key.
CREATE INDEX work_item_key_exact_idx ON :schema.work_item (organization_id, workspace_id, key);
SELECT :schema.mark_workspace('work_item', 'an item belongs to one workspace', verbs => 'SELECT, INSERT, UPDATE');
