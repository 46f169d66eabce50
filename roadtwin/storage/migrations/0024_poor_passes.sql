-- Why the passes of a segment-day that were not good were not: cameras see and err differently when it is wet or dark.
ALTER TABLE segment_day
ADD COLUMN wet_passes smallint,  -- of those that are not good: at least half of the frames wet; NULL: not told apart (loaded)
ADD COLUMN dark_passes smallint;  -- of the rest: at least half of the frames dark; the others were blurred
