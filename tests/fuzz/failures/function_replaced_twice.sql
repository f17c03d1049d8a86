-- Seed 69046086183: error: -: CREATE OR REPLACE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 4; END': XX000 tuple concurrently updated (at statement 6)
-- /* n */ says which session a statement belongs to.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 1 */ CREATE OR REPLACE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 5; END';
/* 2 */ BEGIN ISOLATION LEVEL READ COMMITTED;
/* 2 */ CREATE OR REPLACE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 2; END';
-- check
/* 0 */ CREATE OR REPLACE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 4; END';
/* 2 */ COMMIT;
-- check
