"""ms-swift plugin of `swift rollout`, the engine that samples on GPUs of its own: its model's folder is data there, too."""

from globe.training.swift_data_only import distrust_in_vllm

distrust_in_vllm()
