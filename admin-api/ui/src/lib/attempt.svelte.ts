/** Work that somebody waits for, such as what a form sends: whether it goes on, and why it failed. */
export class Attempt {
  busy = $state(false);
  failure = $state("");

  async run(work: () => unknown) {
    this.busy = true;
    this.failure = "";
    try {
      await work();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
    this.busy = false;
  }
}
