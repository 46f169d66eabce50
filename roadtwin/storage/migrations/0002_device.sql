-- Devices, where they were installed and what they measure.
CREATE TABLE device (
    device_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network_source text NOT NULL,  -- chirpstack-v4, tts-v3, senml
    application text NOT NULL,
    device text NOT NULL,  -- devEui, or the device id where a network has no EUI
    dev_eui text,
    name text,
    profile_name text,
    status text NOT NULL DEFAULT 'unconfirmed' CHECK (status IN ('unconfirmed', 'confirmed', 'retired')),
    first_seen_at timestamptz,
    last_seen_at timestamptz,
    UNIQUE (network_source, application, device)
);
COMMENT ON COLUMN device.status IS 'unconfirmed: seen first on the wire; stored, but models do not use it until an operator confirms it.';

CREATE TABLE device_installation (
    device_id integer NOT NULL REFERENCES device,
    channel text NOT NULL DEFAULT '',  -- '' stands for every channel of the device
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    section_id integer REFERENCES road_section,
    station_m double precision,
    offset_m double precision,
    lon double precision NOT NULL,
    lat double precision NOT NULL,
    PRIMARY KEY (device_id, channel, valid_from)
);
COMMENT ON TABLE device_installation IS 'Where a device was, and when: moving or replacing it never rewrites history.';

CREATE TABLE series (
    series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id integer NOT NULL REFERENCES device,
    channel text NOT NULL,
    quantity text NOT NULL,  -- name in roadtwin.units, ends in its unit
    depth_cm smallint,
    UNIQUE NULLS NOT DISTINCT (device_id, channel, quantity, depth_cm)
);
