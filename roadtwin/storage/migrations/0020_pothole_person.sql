-- Whether a person stands behind a pothole, since it was last looked for and not found; otherwise the twin says how probable it is.
ALTER TABLE pothole ADD COLUMN seen_by_person_at timestamptz;  -- recorded time; NULL: cameras and reports alone say that it is open

-- Potholes are derived anew, which fills the column and says `reopened` only where a repair was the last that closed a hole there.
DELETE FROM pothole_derivation;
