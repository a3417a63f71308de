"""Diffusion without networks: schedules, forward process, objectives, samplers and the noise field."""
