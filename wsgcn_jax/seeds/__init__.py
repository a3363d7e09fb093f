"""CAMs -> partial labels: the few nodes of which we are sure supervise the GCN."""

from wsgcn_jax.seeds.cam_rule import Refine, Seeds, partial_labels
from wsgcn_jax.seeds.quality import SeedQuality, seed_quality
from wsgcn_jax.seeds.walk_rule import walk_seeds

__all__ = ["Refine", "SeedQuality", "Seeds", "partial_labels", "seed_quality", "walk_seeds"]
