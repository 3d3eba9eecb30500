-- Takes organizations, workspaces and memberships away, with everything in them. Accounts lose the policies that stand on memberships, and
-- with them every grant: nobody reads or writes them until this step is taken again or accounts are taken away too.
DROP POLICY allow ON :schema.user_account;
DROP POLICY floor ON :schema.user_account;
DROP POLICY floor_insert ON :schema.user_account;
DROP POLICY floor_update ON :schema.user_account;
DROP POLICY floor_delete ON :schema.user_account;
DROP POLICY definer ON :schema.user_account;
REVOKE ALL ON :schema.user_account FROM :schema_app;
DROP TABLE :schema.removed_member;
DROP TABLE :schema.workspace_member;
DROP TABLE :schema.workspace;
DROP TABLE :schema.organization_member;
DROP TABLE :schema.organization;
DROP FUNCTION :schema.active_user(uuid, text);
DROP FUNCTION :schema.recipient(uuid);
DROP FUNCTION :schema.is_pending(uuid, text);
DROP FUNCTION :schema.pending_verification(uuid);
DROP FUNCTION :schema.username_taken(text);
DROP FUNCTION :schema.sign_in_credential(text, text);
DROP FUNCTION :schema.has_system_admin();
DROP FUNCTION :schema.is_system_admin();
DROP FUNCTION :schema.my_memberships();
