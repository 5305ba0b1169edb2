// Written by `gatewright types`; do not edit it. Write it again when gateways, events, tables or routes have changed.

/** Gateways by path, for `createRealtime<Gateways>(…)`. */
export interface Gateways {
  /** The chat. Guests are welcome. */
  "/chat": {
    events: {
      /** {orderId}: three days after an order was shipped */
      askAboutOrder: {
        payload: unknown;
        result: unknown;
      };
      /** {orderId, socketId?}: ten seconds after an order was placed */
      confirmOrder: {
        payload: unknown;
        result: unknown;
      };
      /** {roomId, before?, limit?}: the last messages, oldest first */
      history: {
        payload: unknown;
        result: Array<{
          createdAt: string;
          id: string;
          roomId: string;
          text: string;
          userId: string;
        }>;
      };
      joinRoom: {
        payload: unknown;
        result: {
          joined: unknown;
        };
      };
      leaveRoom: {
        payload: unknown;
        result: {
          left: unknown;
        };
      };
      message: {
        payload: unknown;
        result: {
          id: string;
          sent: true;
        };
      };
      notify: {
        payload: unknown;
        result: {
          notified: true;
        };
      };
      /** {details}: an order, placed exactly once; it is confirmed ten seconds later */
      placeOrder: {
        payload: unknown;
        result: unknown;
      };
      typing: {
        payload: unknown;
        result: unknown;
      };
      updateStatus: {
        payload: unknown;
        result: {
          status: string;
        };
      };
    };
    emits: {
      connected: {
        message: string;
        userId: string;
      };
      kicked: {
        reason: string;
      };
      newMessage: {
        createdAt: string;
        id: string;
        roomId: unknown;
        text: string;
        userId: string;
      };
      notification: {
        payload: unknown;
        type: string;
      };
      orderUpdate: {
        orderId: string;
        status: string;
      };
      statusUpdated: {
        status: string;
        userId: string;
      };
      typing: {
        isTyping: boolean;
        roomId: unknown;
        userId: string;
      };
      userJoined: {
        name: string;
        userId: string;
      };
      userLeft: {
        userId: string;
      };
    };
  };
}

/** Rows of tables, by name. */
export interface Tables {
  /** Who may not connect */
  banned_user: {
    id: string;
    userId: string;
    reason: string | null;
    createdAt: string;
    updatedAt: string;
  };
  /** What was said in rooms. It is said through the gateway, so that the room hears it. */
  message: {
    id: string;
    roomId: string;
    userId: string;
    text: string;
    createdAt: string;
    updatedAt: string;
  };
  /** Orders, whose users hear of what becomes of them */
  order: {
    id: string;
    userId: string;
    status: string;
    details: unknown;
    createdAt: string;
    updatedAt: string;
  };
  /** The last status of each user */
  user_status: {
    id: string;
    userId: string;
    status: string;
    createdAt: string;
    updatedAt: string;
  };
}

/** Routes, by method and path. */
export interface Routes {
  /** Marks an order as shipped and tells its user */
  "POST /orders/{id}/ship": {
    params: {
      id: string;
    };
  };
}
