"""The protobuf messages of ChirpStack v3: the field numbers of chirpstack-api 3 (integration, gw, common)."""

from collections.abc import Callable

from google.protobuf.message import Message

from ingest.formats import protobuf

_DEVICE = (
    "1 application_id=applicationID uint64, 2 application_name string, 3 device_name string, 4 dev_eui=devEUI bytes, "
)

_MESSAGES = protobuf.build(
    "roadtwin.chirpstack.v3",
    {
        "Location": "1 latitude double, 2 longitude double, 3 altitude double, 4 source LocationSource, "
        "5 accuracy uint32",
        "EncryptedFineTimestamp": "1 aes_key_index uint32, 2 encrypted_ns=encryptedNS bytes, 3 fpga_id=fpgaID bytes",
        "PlainFineTimestamp": "1 time Timestamp",
        "UplinkRXInfo": "1 gateway_id=gatewayID bytes, 2 time Timestamp, "
        "3 time_since_gps_epoch=timeSinceGPSEpoch Duration, 5 rssi int32, 6 lora_snr=loRaSNR double, 7 channel uint32, "
        "8 rf_chain uint32, 9 board uint32, 10 antenna uint32, 11 location Location, "
        "12 fine_timestamp_type FineTimestampType, 13 encrypted_fine_timestamp EncryptedFineTimestamp, "
        "14 plain_fine_timestamp PlainFineTimestamp, 15 context bytes, 16 uplink_id=uplinkID bytes, "
        "17 crc_status CRCStatus",
        "LoRaModulationInfo": "1 bandwidth uint32, 2 spreading_factor uint32, 3 code_rate string, "
        "4 polarization_inversion bool",
        "FSKModulationInfo": "1 frequency_deviation uint32, 2 datarate uint32",
        "UplinkTXInfo": "1 frequency uint32, 2 modulation Modulation, "
        "3 lora_modulation_info=loRaModulationInfo LoRaModulationInfo, 4 fsk_modulation_info FSKModulationInfo",
        "Nothing": "15 nothing bool",
        "DelayTimingInfo": "1 delay Duration",
        "GPSEpochTimingInfo": "1 time_since_gps_epoch=timeSinceGPSEpoch Duration",
        "DownlinkTXInfo": "1 gateway_id=gatewayID bytes, 5 frequency uint32, 6 power int32, 7 modulation Modulation, "
        "8 lora_modulation_info=loRaModulationInfo LoRaModulationInfo, 9 fsk_modulation_info FSKModulationInfo, "
        "10 board uint32, 11 antenna uint32, 12 timing DownlinkTiming, 13 immediately_timing_info Nothing, "
        "14 delay_timing_info DelayTimingInfo, 15 gps_epoch_timing_info GPSEpochTimingInfo, 16 context bytes",
        "Addressee": _DEVICE.removesuffix(", "),
        "UplinkEvent": _DEVICE + "5 rx_info UplinkRXInfo*, 6 tx_info UplinkTXInfo, 7 adr bool, 8 dr uint32, "
        "9 f_cnt uint32, 10 f_port uint32, 11 data bytes, 12 object_json=objectJSON string, 13 tags map, "
        "14 confirmed_uplink bool, 15 dev_addr bytes, 16 published_at Timestamp, "
        "17 device_profile_id=deviceProfileID string, 18 device_profile_name string",
        "JoinEvent": _DEVICE + "5 dev_addr bytes, 6 rx_info UplinkRXInfo*, 7 tx_info UplinkTXInfo, 8 dr uint32, "
        "9 tags map, 10 published_at Timestamp",
        "AckEvent": _DEVICE + "5 acknowledged bool, 6 f_cnt uint32, 7 tags map, 8 published_at Timestamp",
        "TxAckEvent": _DEVICE + "5 f_cnt uint32, 6 tags map, 7 gateway_id=gatewayID bytes, 8 tx_info DownlinkTXInfo, "
        "9 published_at Timestamp",
        "ErrorEvent": _DEVICE + "5 type ErrorType, 6 error string, 7 f_cnt uint32, 8 tags map, "
        "9 published_at Timestamp",
        "StatusEvent": _DEVICE + "5 margin int32, 6 external_power_source bool, 7 battery_level_unavailable bool, "
        "8 battery_level float, 9 tags map, 10 published_at Timestamp",
        "LocationEvent": _DEVICE + "5 location Location, 6 tags map, 7 uplink_ids=uplinkIDs bytes*, 8 f_cnt uint32, "
        "9 published_at Timestamp",
        "IntegrationEvent": _DEVICE + "5 tags map, 6 integration_name string, 7 event_type string, "
        "8 object_json=objectJSON string, 9 published_at Timestamp",
    },
    {
        "LocationSource": (
            "UNKNOWN", "GPS", "CONFIG", "GEO_RESOLVER_TDOA", "GEO_RESOLVER_RSSI", "GEO_RESOLVER_GNSS",
            "GEO_RESOLVER_WIFI",
        ),
        "FineTimestampType": ("NONE", "ENCRYPTED", "PLAIN"),
        "CRCStatus": ("NO_CRC", "BAD_CRC", "CRC_OK"),
        "Modulation": ("LORA", "FSK", "LR_FHSS"),
        "DownlinkTiming": ("IMMEDIATELY", "DELAY", "GPS_EPOCH"),
        "ErrorType": (
            "UNKNOWN", "DOWNLINK_PAYLOAD_SIZE", "DOWNLINK_FCNT", "UPLINK_CODEC", "DOWNLINK_CODEC", "OTAA",
            "UPLINK_FCNT_RESET", "UPLINK_MIC", "UPLINK_FCNT_RETRANSMISSION", "DOWNLINK_GATEWAY",
        ),
    },
)  # fmt: skip

Addressee: Callable[[], Message] = _MESSAGES["Addressee"]
"""What all events begin with."""

EVENT_CLASSES: dict[str, Callable[[], Message]] = {
    "up": _MESSAGES["UplinkEvent"],
    "join": _MESSAGES["JoinEvent"],
    "ack": _MESSAGES["AckEvent"],
    "error": _MESSAGES["ErrorEvent"],
    "status": _MESSAGES["StatusEvent"],
    "location": _MESSAGES["LocationEvent"],
    "txack": _MESSAGES["TxAckEvent"],
    "integration": _MESSAGES["IntegrationEvent"],
}

_HEXADECIMAL = frozenset({"dev_eui", "dev_addr", "gateway_id", "uplink_id"})
"""Bytes that envelopes have in hexadecimal digits."""

_UNREAD = frozenset(
    {"application_name", "tx_info", "adr", "tags", "device_profile_id", "channel", "rf_chain", "board", "antenna",
     "fine_timestamp_type", "encrypted_fine_timestamp", "plain_fine_timestamp", "context", "crc_status", "source",
     "accuracy", "uplink_ids"}
)  # fmt: skip
"""Fields that nothing of ours reads."""

READER = protobuf.Reader(_UNREAD, _HEXADECIMAL)
"""Turns these messages into members."""
