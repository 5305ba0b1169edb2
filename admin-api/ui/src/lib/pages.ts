/** The pages of the navigation, and the letter that goes to each after `g`. */
import Activity from "@lucide/svelte/icons/activity";
import LayoutDashboard from "@lucide/svelte/icons/layout-dashboard";
import Waypoints from "@lucide/svelte/icons/waypoints";

export const pages = [
  { name: "Overview", path: [] as string[], letter: "o", icon: LayoutDashboard },
  { name: "Gateways", path: ["gateways"], letter: "g", icon: Waypoints },
  { name: "Runs", path: ["runs"], letter: "r", icon: Activity },
];
