DROP TABLE :schema.weather;
DROP TABLE :schema.firm;
DROP TABLE :schema.diary;
DROP TABLE :schema.paper;
DROP TABLE :schema.note;
