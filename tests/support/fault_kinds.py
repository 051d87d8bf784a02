"""The faults of fault runs are those of `rookery admin drill`."""

from rookery_server.dev.faults import HEAL_S, PATIENT_S, Faults

__all__ = ["HEAL_S", "PATIENT_S", "Faults"]
