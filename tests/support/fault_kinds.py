"""The faults of fault runs are those of `rookery admin drill`."""

from rookery_server.dev.faults import PATIENT_S, Faults

__all__ = ["PATIENT_S", "Faults"]
