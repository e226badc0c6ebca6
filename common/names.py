"""Random names for containers and services that were given none: what the sea is like, and what lives in it."""

from __future__ import annotations

import secrets


def _list(text: str) -> list[str]:
    return text.split()


_ADJECTIVES = _list(
    "amber azure brave breezy bright brisk calm clear coral crisp curious deep distant drifting eager fair fearless fluid "
    "foamy free gentle gleaming golden graceful grand happy hidden humble icy jolly keen kind lively loyal lucid lunar "
    "mellow merry mighty misty nimble noble opal patient pearly placid playful proud quick quiet radiant rapid ready "
    "restless rippling rolling royal salty serene shining shy silent silver silvery sleek smooth snappy soft sparkling "
    "steady still sunny swift tidal tranquil vivid wandering warm wavy wild windy wise witty young zesty"
)
_CREATURES = _list(
    "abalone albacore anchovy anemone anglerfish barnacle barracuda basslet beluga blenny bluefin bonito bream brill capelin "
    "carp char clam cockle cod conch coral crab cuttlefish dolphin dory dragonet dugong eel flounder gar goby grayling "
    "grouper grunion gurnard haddock hake halibut herring kelp krill lamprey limpet ling lobster lumpfish mackerel manatee "
    "manta marlin minnow moray mullet mussel narwhal nautilus octopus opah orca otter oyster perch pike pilchard plaice "
    "pollock pompano porpoise prawn puffin ray remora salmon sardine scallop seahorse seal shark shrimp skate smelt snapper "
    "sole sponge sprat squid starfish stingray sturgeon sunfish swordfish tarpon tilapia triton trout tuna turbot turtle "
    "urchin wahoo walrus whale whelk wrasse zander"
)


def random_name(attempt: int = 0) -> str:
    """ "swift_herring"; later attempts carry a number, so that a crowded machine finds a free one too."""
    name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_CREATURES)}"
    return f"{name}{secrets.randbelow(10**attempt)}" if attempt else name
