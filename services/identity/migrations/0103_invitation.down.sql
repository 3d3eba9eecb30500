-- Takes invitations away, with everything in them. Members who joined by one stay.
DROP TABLE :schema.invitation;
DROP FUNCTION :schema.inviting_organization(uuid);
