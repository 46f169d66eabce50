-- name: find_devices
SELECT d.network_source, d.application, d.device, d.device_id, d.dev_eui, d.name, d.profile_name, d.last_seen_at
FROM unnest(%(network_sources)s::text [], %(applications)s::text [], %(devices)s::text []) AS k (network_source, application, device)
JOIN device AS d USING (network_source, application, device);

-- name: insert_device_first_seen
INSERT INTO device (network_source, application, device, dev_eui, name, profile_name, first_seen_at, last_seen_at)
VALUES (%(network_source)s, %(application)s, %(device)s, %(dev_eui)s, %(name)s, %(profile_name)s, %(first_seen_at)s, %(last_seen_at)s)
ON CONFLICT DO NOTHING;

-- name: touch_devices
-- A registered profile stays; the name follows the network server.
UPDATE device AS d SET
    last_seen_at = greatest(d.last_seen_at, s.last_seen_at),
    first_seen_at = least(d.first_seen_at, s.first_seen_at),
    dev_eui = coalesce(d.dev_eui, s.dev_eui),
    name = coalesce(s.name, d.name),
    profile_name = coalesce(d.profile_name, s.profile_name)
FROM unnest(
    %(device_id)s::integer [], %(last_seen_at)s::timestamptz [], %(first_seen_at)s::timestamptz [],
    %(dev_eui)s::text [], %(name)s::text [], %(profile_name)s::text []
) AS s (device_id, last_seen_at, first_seen_at, dev_eui, name, profile_name)
WHERE d.device_id = s.device_id
RETURNING d.network_source, d.application, d.device, d.device_id, d.dev_eui, d.name, d.profile_name, d.last_seen_at;

-- name: find_series
SELECT s.device_id, s.channel, s.quantity, s.depth_cm, s.series_id
FROM series AS s
WHERE s.device_id = ANY(%(device_ids)s);

-- name: insert_series
INSERT INTO series (device_id, channel, quantity, depth_cm)
VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING;

-- name: read_registered_profiles
SELECT network_source, application, device, profile_name
FROM device
WHERE status <> 'unconfirmed' AND profile_name IS NOT NULL;

-- name: register_device
INSERT INTO device AS d (network_source, application, device, dev_eui, name, profile_name, status)
VALUES (%(network_source)s, %(application)s, %(device)s, %(dev_eui)s, %(name)s, %(profile_name)s, %(status)s)
ON CONFLICT (network_source, application, device) DO UPDATE SET
    dev_eui = coalesce(excluded.dev_eui, d.dev_eui),
    name = coalesce(excluded.name, d.name),
    profile_name = coalesce(excluded.profile_name, d.profile_name),
    status = excluded.status
RETURNING device_id;

-- name: find_current_section
SELECT section_id FROM road_section WHERE source = %(source)s AND source_section_id = %(source_section_id)s AND valid_to IS NULL;

-- name: close_installations
-- Moved: the earlier place of this channel ends where the new one begins.
UPDATE device_installation
SET valid_to = %(valid_from)s
WHERE
    device_id = %(device_id)s AND channel = %(channel)s
    AND valid_from < %(valid_from)s AND (valid_to IS NULL OR valid_to > %(valid_from)s);

-- name: insert_installation
INSERT INTO device_installation (device_id, channel, valid_from, valid_to, section_id, station_m, lon, lat)
VALUES (
    %(device_id)s, %(channel)s, %(valid_from)s,
    (
        SELECT min(later.valid_from)
        FROM device_installation AS later
        WHERE later.device_id = %(device_id)s AND later.channel = %(channel)s AND later.valid_from > %(valid_from)s
    ),
    %(section_id)s, %(station_m)s, %(lon)s, %(lat)s
)
ON CONFLICT (device_id, channel, valid_from) DO UPDATE SET
    section_id = excluded.section_id, station_m = excluded.station_m, lon = excluded.lon, lat = excluded.lat;
